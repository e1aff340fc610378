"""What `karl reward-calibration`, `diversity` and `fingerprint` print."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from karl.cli.figures_asked import plot_width, shows_braille
from karl.cli.figures_shown import NAME_WIDTH, agent_heading, draw_plot, mean, share, table
from karl.cli.render import one_line
from karl.evaluation.chances import Truth
from karl.figures import plot
from karl.figures.diversity import Diversity
from karl.figures.fingerprint import LETTERS, Compared, Drift, Fingerprint
from karl.figures.reliability import EITHER_MIN, KNOWN_MIN, Reliability, Standing, spans_of
from karl.figures.variety import Variety

#: Groups of an agent that are shown.
GROUPS_SHOWN = 15
_SHARES = {
    "read_first": "files read before they were edited",
    "checked": "edits with a check after them",
    "recovered": "failed acts made good",
    "looking": "acts before the first edit",
}


def print_reliability(agents: Sequence[Reliability], by: str, *, draw: bool) -> None:
    """Print how true each agent's rewards are, and how its groups stand."""
    for one in agents:
        agent_heading(one.agent, one.turns)
        told = ", ".join(f"{one_line(by, 20)} {count:,}" for by, count in one.by.items())
        click.echo(
            f"known how it went: {one.known:,} turns, {one.done:,} of them well"
            + (f" (by {told})" if told else "")
        )
        if one.truth is None:
            click.echo(f"too few to hold rewards against ({KNOWN_MIN}, and {EITHER_MIN} of either kind)")
        else:
            _print_truth(one, one.truth)
            if draw:
                draw_reliability(one.truth)
        if one.groups:
            click.echo()
            _print_standings(one.groups, by)


def _print_truth(one: Reliability, found: Truth) -> None:
    brier = found.brier
    interval = "" if brier.low is None else f" ({brier.low:.3f}-{brier.high:.3f})"
    click.echo(f"Brier {brier.value:.3f}{interval}; always saying the base rate {found.constant:.3f}")
    click.echo(f"ECE   {found.ece:.3f}; true chances come to {found.perfect:.3f} on so few")
    if one.auroc is not None:
        low, high = one.auroc.low, one.auroc.high
        click.echo(f"AUROC {one.auroc.value:.3f}" + ("" if low is None else f" ({low:.3f}-{high:.3f})"))
    if one.calibrated < one.known:
        click.echo(f"{one.known - one.calibrated:,} of these rewards were not calibrated: no chances yet")


def draw_reliability(found: Truth) -> None:
    """Draw the reliability diagram."""
    draw_plot(plot.reliability(spans_of(found), width=plot_width(), braille=shows_braille()))


def _print_standings(groups: Sequence[Standing], by: str) -> None:
    table(
        (by, "turns", "reward", "spread", "least", "most", "z", "flags"),
        [
            (
                one_line(one.name, NAME_WIDTH),
                one.reward.n,
                mean(one.reward),
                None if one.spread is None else f"{one.spread:.3f}",
                one.least,
                one.most,
                None if one.z is None else f"{one.z or 0:+.1f}".replace("-0.0", "+0.0"),
                ", ".join(one.flags) or "-",
            )
            for one in groups[:GROUPS_SHOWN]
        ],
        short=(by,),
    )
    if len(groups) > GROUPS_SHOWN:
        click.echo(f"… {len(groups) - GROUPS_SHOWN:,} more with fewer turns (--json)")


def print_diversity(agents: Sequence[Diversity]) -> None:
    """Print how varied each agent's work is."""
    for one in agents:
        agent_heading(one.agent, one.turns, one.sessions)
        table(
            ("of", "n", "kinds", "effective number", "most frequent"),
            [
                (name, found.n, found.kinds, _effective(found), _most(found, name))
                for name, found in one.varieties.items()
                if found.n
            ],
            short=("most frequent",),
        )
        asked = one.prompts
        if asked.compared:
            click.echo(
                f"of {asked.compared:,} prompts of five words and more, "
                f"{share(asked.same)} have the words of another, {share(asked.alike)} nearly so"
            )


def _effective(found: Variety) -> str:
    if found.effective is None or found.low is None or found.high is None:
        return f"{found.effective or 0:.1f}"
    return f"{found.effective:.1f} ({found.low:.1f}-{found.high:.1f})"


def _most(found: Variety, name: str) -> str:
    """Name the most frequent; of a path its end says more than its beginning."""
    shown = []
    for kind, count in list(found.most.items())[:3]:
        is_cut = name == "files" and len(kind) > NAME_WIDTH
        text = "…" + kind[1 - NAME_WIDTH :] if is_cut else kind
        shown.append(f"{one_line(text, NAME_WIDTH)} {count}")
    return ", ".join(shown)


def print_fingerprint(agent: str, found: Fingerprint, drift: Drift | None, compared: Compared | None) -> None:
    """Print how an agent works, and whether it works as it did."""
    agent_heading(agent, found.turns, found.sessions)
    click.echo(f"signature  {found.signature or '-'}   {_legend()}")
    rows: list[tuple[Any, ...]] = [
        (LETTERS[letter], share(one), one.n) for letter, one in found.deeds.items() if one.hits
    ]
    table(("of all acts", "share", "acts"), rows)
    table(
        ("what", "share", "of"),
        [(_SHARES[name], share(one), one.n) for name, one in found.shares.items() if one.n],
    )
    click.echo(f"a turn: {mean(found.acts, 1)} acts, {mean(found.files, 1)} files edited")
    if found.scope.n:
        click.echo(f"path in common of a turn's edited files: {mean(found.scope, 2)}")
    if found.steps:
        steps = ", ".join(f"{_step(step)} {100 * part:.0f} %" for step, part in found.steps.items())
        click.echo(f"most frequent steps: {steps}")
    if drift is not None:
        _print_drift(drift)
    if compared is not None:
        _print_compared(compared)


def _legend() -> str:
    return ", ".join(f"{letter} {name}" for letter, name in LETTERS.items())


def _step(step: str) -> str:
    first, then = (("begin" if one == "^" else "end" if one == "$" else LETTERS[one]) for one in step)
    return f"{first} > {then}"


def _print_drift(drift: Drift) -> None:
    sessions = f"{drift.recent} recent sessions against {drift.earlier} earlier ones"
    if drift.distance is None or drift.usual is None or drift.p is None:
        click.echo(f"drift: too few sessions ({sessions}; five each)")
        return
    said = "it works otherwise than before" if drift.drifted else "no drift to be seen"
    apart = f"{drift.distance:.3f} apart, by chance {drift.usual:.3f}, p {drift.p:.3f}"
    click.echo(f"drift: {said} ({sessions}: {apart})")
    if drift.drifted:
        for step, (before, now) in drift.changed.items():
            click.echo(f"  {_step(step)}: {100 * before:.1f} % before, {100 * now:.1f} % now")


def _print_compared(compared: Compared) -> None:
    if compared.distance is None or compared.place is None:
        click.echo(f"against the agent's {compared.others} other sessions: too few, or too short, to say")
        return
    click.echo(
        f"against the agent's {compared.others} other sessions: {compared.distance:.3f} apart, "
        f"further than {100 * compared.place:.0f} % of them"
    )
