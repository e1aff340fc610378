"""A session or a trajectory as one page: no network, no other file, readable without JavaScript.

Invariants:
- What was recorded reaches the page through the template's escaping and `harmless`, and by no other way.
- The page's policy lets nothing load and runs only the style and the script that stand in it, by hash.
- The same facts give the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from karl import __version__
from karl.errors import KarlError, Refused
from karl.replay.explained import Explanation
from karl.replay.harmless import harmless
from karl.replay.story import Deed, Given, Moment, Story, gist, is_bad, story
from karl.replay.timeline import bars
from karl.schema.trajectory import ToolCall
from karl.session.edits import FileDiff
from karl.session.moments import iso
from karl.views.detail import Detail

#: Characters of one text that a page keeps, the first that give a page of at most PAGE_MAX bytes.
TEXT_MAX = (20_000, 4_000, 1_000, 200)
PAGE_MAX = 32 * 1024 * 1024
#: Lines of one file's diff.
DIFF_LINES = 2_000
#: The longest pause between two moments while the page plays, in milliseconds.
PAUSE_MAX_MS = 2_000
_DEPTH_MAX = 8
_LINE_KINDS = {"+": "in", "-": "out", "@": "at"}


class Line(NamedTuple):
    """One line of a diff: `in`, `out`, `at` or nothing, and its text."""

    kind: str
    text: str


class Change(NamedTuple):
    """What a call did to one file."""

    path: str
    change: str
    added: int
    removed: int
    lines: list[Line]


class Card(NamedTuple):
    """What the page shows of one moment; a call's result is in its card where nothing came between."""

    id: str
    moment: Moment
    title: str
    at: str
    depth: int
    pause_ms: int
    deed: Deed | None
    given: list[Given]
    whole: bool
    verdict: str
    tone: str
    changes: list[Change]


class Turn(NamedTuple):
    """One trajectory of the page."""

    id: str
    detail: Detail
    explanation: Explanation
    cards: list[Card]
    bars: list[Any]
    rows: int
    failed: int


def page(told: Sequence[tuple[Detail, Explanation]]) -> bytes:
    """Give the page of one or more trajectories of a session. Raises KarlError when it would be too large."""
    turns = [_turn(f"t{at}", detail, explanation) for at, (detail, explanation) in enumerate(told)]
    for most in TEXT_MAX:
        data = _render(turns, most)
        if len(data) <= PAGE_MAX:
            return data
    raise KarlError(
        f"the page would have {len(data):,} bytes, more than {PAGE_MAX:,}; replay one trajectory at a time"
    )


def put(path: Path, data: bytes, *, replace: bool) -> None:
    """Write a page whole or not at all. Raises Refused when there is a file and `replace` is not given."""
    if path.exists() and not path.is_file():
        raise Refused(f"{path} is no file that could be replaced; name another, or - for stdout")
    if path.exists() and not replace:
        raise Refused(f"{path} is there already; --force replaces it")
    try:
        fd, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise KarlError(f"{path} can not be written: {error}") from error
    new = Path(name)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
        new.chmod(0o600)  # as private as the ledger that it comes from
        new.replace(path)
    except OSError as error:
        new.unlink(missing_ok=True)
        raise KarlError(f"{path} can not be written: {error}") from error


def _render(turns: Sequence[Turn], most: int) -> bytes:
    style, script = _asset("page.css"), _asset("page.js")
    made = (
        _environment(most)
        .get_template("page.html")
        .render(
            turns=turns,
            row=turns[-1].detail.row,
            version=__version__,
            style=Markup(style),  # noqa: S704 - a file of our own
            script=Markup(script),  # noqa: S704
            policy=f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
            "base-uri 'none'; form-action 'none'",
            calls=sum(len(turn.detail.body.trajectory.trajectory.events) for turn in turns),
            failed=sum(turn.failed for turn in turns),
            tokens=sum(turn.detail.body.trajectory.usage.total for turn in turns),
        )
    )
    return made.encode("utf-8", "replace")


def _environment(most: int) -> Environment:
    # `finalize` is the one door: every value that a template puts out passes it, then the escaping.
    environment = Environment(
        loader=PackageLoader("karl.replay", "assets"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: value if isinstance(value, Markup) else _shown(value, most),
    )
    environment.filters["moment"] = lambda ms: (iso(ms) or "")[:19].replace("T", " ")
    return environment


def _shown(value: object, most: int) -> str:
    text = "" if value is None else str(value)
    if len(text) > most:
        tail = most // 4
        cut = len(text) - most
        text = f"{text[: most - tail]}\n… {cut:,} characters are left out here …\n{text[len(text) - tail :]}"
    return harmless(text)


def _asset(name: str) -> str:
    return resources.files("karl.replay").joinpath("assets", name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"


def _turn(name: str, detail: Detail, explanation: Explanation) -> Turn:
    told = story(detail.body)
    timeline, rows = bars(told)
    return Turn(
        id=name,
        detail=detail,
        explanation=explanation,
        cards=list(_cards(name, told)),
        bars=timeline,
        rows=rows,
        failed=sum(is_bad(deed.call) for deed in told.deeds),
    )


def _cards(turn: str, told: Story) -> Iterator[Card]:
    deeds = {deed.number: deed for deed in told.deeds}
    skip = False
    for now, after in zip(told.moments, [*told.moments[1:], None], strict=True):
        if skip:
            skip = False
            continue
        deed = deeds.get(now.call or 0)
        ends = deed is not None and after is not None and (after.what, after.call) == ("result", now.call)
        skip = now.what == "call" and ends
        title = _title(now, deed)
        yield Card(
            id=f"{turn}-c{now.call}" if now.what == "call" else f"{turn}-m{now.number}",
            moment=now,
            title=title,
            at=_clock(now.at_s),
            depth=min(now.depth, _DEPTH_MAX),
            pause_ms=min(PAUSE_MAX_MS, int(now.pause_s * 1000)),
            deed=deed,
            given=[one for one in deed.given if _flat(one.text) != title] if deed is not None else [],
            whole=now.what == "call",
            verdict=_verdict(deed.call) if deed is not None else "",
            tone=_tone(deed.call) if deed is not None else "",
            changes=[_change(diff) for diff in deed.diffs] if deed is not None and now.what == "call" else [],
        )


def _title(moment: Moment, deed: Deed | None) -> str:
    if deed is not None:
        return _flat(gist(deed.call))[:200]
    return {"prompt": "Prompt", "reply": "Response"}.get(moment.what, moment.kind)


def _flat(text: str) -> str:
    return " ".join(text.split())


def _verdict(call: ToolCall) -> str:
    said = ["end unknown" if call.status == "unknown" else call.status.replace("_", " ")]
    if call.exit_code is not None and call.exit_code != 0:
        said.append(f"exit {call.exit_code}")
    if call.duration_ms is not None:
        said.append(
            f"{call.duration_ms / 1000:.1f} s" if call.duration_ms >= 1000 else f"{call.duration_ms} ms"
        )
    return ", ".join(said)


def _tone(call: ToolCall) -> str:
    return "bad" if is_bad(call) else "good" if call.success else "open"


def _change(diff: FileDiff) -> Change:
    lines: list[Line] = []
    for number, hunk in enumerate(diff.hunks):
        if hunk.old_start is not None or hunk.new_start is not None:
            lines.append(Line("at", f"@@ -{hunk.old_start or '?'} +{hunk.new_start or '?'} @@"))
        elif number:
            lines.append(Line("at", "@@"))
        lines += [Line(_LINE_KINDS.get(line[:1], "same"), line) for line in hunk.lines]
    if len(lines) > DIFF_LINES:
        rest = len(lines) - DIFF_LINES
        lines = [*lines[:DIFF_LINES], Line("at", f"… {rest:,} more lines are left out here …")]
    return Change(diff.path or "?", diff.change, diff.added, diff.removed, lines)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
