"""Plots in text: values over days, losses of a training, said against was, how values are spread.

Lines of text without colours or escapes, so that they are the same on a terminal, in a pipe and in a file.
Where the output can not show braille (`braille=False`), dots become stars.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import plotille

#: Columns beside the canvas: the axis with its numbers, and its name behind the arrow.
MARGIN = 23
HEIGHT = 12
#: Columns that one number below the axis needs.
TICK = 10
_BLANK, _LAST = 0x2800, 0x28FF
_STARS = {_BLANK: " ", **dict.fromkeys(range(_BLANK + 1, _LAST + 1), "*")}
_BAR = "█"


class Span(NamedTuple):
    """A value `y` at `x` with its interval, null where there is none."""

    x: float
    y: float
    low: float | None
    high: float | None


def over_days(
    spans: Sequence[Span],
    labels: Sequence[str],
    *,
    width: int,
    height: int = HEIGHT,
    bounds: tuple[float, float] = (0.0, 1.0),
    braille: bool = True,
) -> list[str]:
    """Draw values over days with their intervals. `x` counts days from 0, `labels` names each.

    The axis goes half as far beyond the values as they lie apart, within `bounds`, and cuts intervals there:
    one that is wide must not press all others flat. One that goes beyond both ends is not drawn.
    """
    if not spans:
        return []
    figure = _figure(width, height)
    low, high = min(span.y for span in spans), max(span.y for span in spans)
    room = max(high - low, 0.05) / 2
    low, high = max(bounds[0], low - room), min(bounds[1], high + room)
    spans = [_cut(one, low, high) for one in spans]
    last = max(1, len(labels) - 1)
    figure.set_y_limits(low, high)
    figure.set_x_limits(-0.5, last + 0.5)
    named: set[int] = set()

    def tick(at: float, _: object) -> str:
        """Name the day at a place of the axis, each once."""
        day = round(at)
        if day in named or not 0 <= day < len(labels):
            return ""
        named.add(day)
        return labels[day]

    figure.x_ticks_fkt = tick
    _draw(figure, spans)
    return _lines(figure, braille=braille)


def reliability(
    spans: Sequence[Span], *, width: int, height: int = HEIGHT, braille: bool = True
) -> list[str]:
    """Draw how often it was so (`y`) against the chance that was said (`x`), with the line of no error."""
    if not spans:
        return []
    figure = _figure(width, height)
    figure.set_x_limits(0.0, 1.0)
    figure.set_y_limits(0.0, 1.0)
    figure.x_label, figure.y_label = "said", "was"
    figure.x_ticks_fkt = lambda at, _: f"{at:.2f}"
    figure.plot([0.0, 1.0], [0.0, 1.0])
    _draw(figure, spans)
    return _lines(figure, braille=braille)


def histogram(
    values: Sequence[float],
    *,
    width: int,
    bins: int = 10,
    bounds: tuple[float, float] = (0.0, 1.0),
    braille: bool = True,
) -> list[str]:
    """Draw how many values lie in each of `bins` equal parts of `bounds`, a line each; empty ends go."""
    low, high = bounds
    counts = [0] * bins
    for value in values:
        counts[min(bins - 1, max(0, int((value - low) / (high - low) * bins)))] += 1
    filled = [at for at, count in enumerate(counts) if count]
    if not filled:
        return []
    most = max(counts)
    room = max(8, width - 22 - len(str(most)))
    step = (high - low) / bins
    out = []
    for at in range(filled[0], filled[-1] + 1):
        bar = (_BAR if braille else "#") * max(counts[at] > 0, round(counts[at] / most * room))
        out.append(f"{low + at * step:8.2f} to {low + (at + 1) * step:.2f} | {bar} {counts[at]}")
    return out


def losses(
    curve: Sequence[Sequence[Any]], *, width: int, height: int = HEIGHT, braille: bool = True
) -> list[str]:
    """Draw a training's (iteration, loss, validation loss), null where one was not measured.

    What is trained with are dots, what is validated with is a line; what they say at last stands below.
    """
    train = [(point[0], point[1]) for point in curve if point[1] is not None]
    valid = [(point[0], point[2]) for point in curve if point[2] is not None]
    values = [loss for _, loss in (*train, *valid)]
    if not values:
        return []
    figure = _figure(width, height)
    room = max(max(values) - min(values), 0.01) * 0.05
    figure.set_y_limits(min(values) - room, max(values) + room)
    figure.set_x_limits(0, max(1, *(point[0] for point in curve)))
    figure.x_ticks_fkt = lambda at, _: f"{at:.0f}"
    said = []
    if train:
        figure.scatter([at for at, _ in train], [loss for _, loss in train])
        said.append(f"dots: training, {train[-1][1]:.4f} at last")
    if valid:
        figure.plot([at for at, _ in valid], [loss for _, loss in valid])
        at, best = min(valid, key=lambda one: one[1])
        said.append(f"line: validation, best {best:.4f} after {at} iterations")
    return [*_lines(figure, braille=braille), "; ".join(said)]


def _figure(width: int, height: int) -> plotille.Figure:
    import plotille  # noqa: PLC0415 - 14 ms that only a plot pays

    figure = plotille.Figure()
    figure.with_colors = False
    figure.origin = False
    figure.width, figure.height = max(2 * TICK, width - MARGIN), height
    figure.x_label = figure.y_label = ""
    figure.y_ticks_fkt = lambda at, _: f"{at:.3f}"
    return figure


def _cut(span: Span, low: float, high: float) -> Span:
    """Cut an interval at the axis' ends; one that goes beyond both says nothing there, and goes."""
    if span.low is None or span.high is None or (span.low <= low and span.high >= high):
        return Span(span.x, span.y, None, None)
    return Span(span.x, span.y, max(low, span.low), min(high, span.high))


def _draw(figure: plotille.Figure, spans: Sequence[Span]) -> None:
    for span in spans:
        if span.low is not None and span.high is not None:
            figure.plot([span.x, span.x], [span.low, span.high])
    figure.scatter([span.x for span in spans], [span.y for span in spans], marker="o")


def _lines(figure: plotille.Figure, *, braille: bool) -> list[str]:
    text: str = figure.show()
    shown = text.translate({_BLANK: " "} if braille else _STARS)
    lines = [line.removesuffix(" ()").rstrip() for line in shown.splitlines()]
    return lines if figure.y_label else lines[1:]
