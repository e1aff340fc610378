"""What the weights do, and what can be learned for them: `karl reward calibrate` and `ablate`."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from karl.cli.main import pass_settings
from karl.cli.moments import now_ms, when
from karl.cli.render import measuring, print_json
from karl.cli.reward import VERSION, finish, labelled
from karl.settings import Settings

if TYPE_CHECKING:
    from karl.evaluation.known import KnownRuns, Scored
    from karl.schema.record import CalibrationBody
    from karl.views.filter import Filter

_AGENT = click.option("--agent", help="Only this agent.")
_SINCE = click.option(
    "--since", "since_ms", type=when, help="Only turns closed since: 90m, 12h, 7d, or a date."
)
_LIMIT = click.option(
    "--limit", default=20_000, show_default=True, type=click.IntRange(1), help="Turns at most, the newest."
)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON, with everything.")


@click.command()
@click.option(
    "--labelled",
    "paths",
    multiple=True,
    metavar="PATH",
    type=click.Path(path_type=Path),
    help="Learn from labelled runs, as `karl reward evaluate` reads them; repeatable.",
)
@_AGENT
@_SINCE
@_LIMIT
@VERSION
@click.option("--file", type=click.Path(dir_okay=False, path_type=Path), help="Write the records to a file.")
@click.option("--apply", "apply_", is_flag=True, help="Write the records to the ledger; score by them.")
@_JSON
@pass_settings
def calibrate(
    settings: Settings,
    *,
    paths: tuple[Path, ...],
    file: Path | None,
    apply_: bool,
    as_json: bool,
    **chosen: Any,
) -> None:
    """Learn how likely it is, by a turn's signals, that its task got done.

    From the turns of the ledger whose outcome is known: by a person's word, a revert, CI, a commit that
    survived, a build, what the next prompt said. A model is learned for each agent alone, judged on sessions
    that it was not learned from, and used only where it ranks no worse than the fixed weights and its Brier
    score is surely better. Else the fixed weights stay, and it says why.

    It shows what it would do. With --apply the records go through the line to the ledger, and new turns of
    these agents are scored by them; `karl backfill` scores the old ones anew.
    """
    from karl.cli.reward_shown import show_learned  # noqa: PLC0415 - numpy loads when needed
    from karl.evaluation.calibrate import calibrate as learn  # noqa: PLC0415
    from karl.evaluation.calibrations import to_file  # noqa: PLC0415

    found = _labelled(paths, chosen["agent"]) if paths else _known(settings, chosen)
    with measuring("learning") as progress:
        reports = learn(
            found.runs,
            version=chosen["version"] or settings.reward_version,
            now_ms=now_ms(),
            known=None if paths else found.by,
            progress=progress,
        )
    records = [report.record for report in reports if report.record is not None]
    if file:
        to_file(file, records)
    if as_json:
        print_json({"agents": reports, "unreadable": found.damaged})
    else:
        show_learned(reports, unreadable=found.damaged)
    if apply_:
        _apply(settings, records)
    if not as_json:
        _say_what_is_done(records, file, applied=apply_)
    sys.exit(1 if found.damaged else 0)


@click.command()
@click.argument("paths", nargs=-1, metavar="[PATH...]", type=click.Path(path_type=Path))
@_AGENT
@_SINCE
@_LIMIT
@VERSION
@_JSON
@pass_settings
def ablate(
    settings: Settings,
    *,
    paths: tuple[Path, ...],
    as_json: bool,
    **chosen: Any,
) -> None:
    """Leave each signal out, and see what becomes of the ranking.

    Over labelled runs (PATH, as `karl reward evaluate` reads them), set by set, with what it does to the
    AUROC; without PATH over the ledger's newest turns, agent by agent. Spearman's correlation with the whole
    score says how much the order changes; the overlaps, how many of the 20 highest, and of the highest tenth,
    stay. A signal whose removal changes nothing does nothing.
    """
    from karl.cli.reward_shown import show_ablation  # noqa: PLC0415 - numpy loads when needed
    from karl.evaluation.ablation import ablate as leave_out  # noqa: PLC0415
    from karl.evaluation.ablation import ablate_sets  # noqa: PLC0415

    damaged = 0
    if paths:
        read = labelled(paths, ())
        made = ablate_sets(read.runs, chosen["version"] or settings.reward_version)
    else:
        scores, damaged = _scored(settings, chosen)
        made = [leave_out(agent, version, mine) for (agent, version), mine in sorted(scores.items())]
    if as_json:
        print_json({"ablations": made})
    elif made:
        for one in made:
            show_ablation(one)
    else:
        click.echo("no scored turns there")
    if paths:
        finish(read, as_json=as_json)
    if damaged:
        click.echo(f"{damaged:,} turns can not be read, and are left out (`karl verify`)", err=True)
        sys.exit(1)


def _labelled(paths: tuple[Path, ...], agent: str | None) -> KnownRuns:
    from karl.evaluation.known import KnownRuns  # noqa: PLC0415

    read = labelled(paths, ())
    runs = [run for run in read.runs if agent in {None, run.agent}]
    bad = sum(1 for problem in read.problems if not problem.passed_over)
    return KnownRuns(runs, {}, bad)


def _known(settings: Settings, chosen: dict[str, Any]) -> KnownRuns:
    from karl.evaluation.known import read_known  # noqa: PLC0415
    from karl.views.figures import Figures  # noqa: PLC0415

    with Figures(settings.views) as views, measuring("reading") as progress:
        return read_known(views, settings.ledger, _filter(chosen), limit=chosen["limit"], progress=progress)


def _scored(settings: Settings, chosen: dict[str, Any]) -> Scored:
    from karl.evaluation.known import read_scores  # noqa: PLC0415
    from karl.views.figures import Figures  # noqa: PLC0415

    with Figures(settings.views) as views, measuring("reading") as progress:
        found = read_scores(views, settings.ledger, _filter(chosen), limit=chosen["limit"], progress=progress)
    version = chosen["version"]
    return found._replace(
        scores={key: some for key, some in found.scores.items() if version in {None, key[1]}}
    )


def _filter(chosen: dict[str, Any]) -> Filter:
    from karl.views.filter import Filter  # noqa: PLC0415

    return Filter(agent=chosen["agent"], since_ms=chosen["since_ms"])


def _apply(settings: Settings, records: Sequence[CalibrationBody]) -> None:
    from workers.calibration import apply  # noqa: PLC0415 - Redis loads when needed
    from workers.line import on_line  # noqa: PLC0415

    with on_line(settings, "karl-calibrate") as redis:
        apply(redis, records, time.sleep)


def _say_what_is_done(records: Sequence[CalibrationBody], file: Path | None, *, applied: bool) -> None:
    if file:
        click.echo(f"{len(records)} records written to {file}")
    used = sum(record.applied for record in records)
    if applied:
        click.echo(
            f"{len(records)} records on their way to the ledger; "
            f"within half a minute the new turns of {used} agents are scored by theirs"
        )
    elif records:
        click.echo("Nothing was changed; --apply has it written to the ledger and used.")
