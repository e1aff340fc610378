"""The reward held against outcomes: `karl reward evaluate`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from karl.cli.main import pass_settings
from karl.cli.render import counting, measuring, plain, print_json
from karl.settings import Settings

if TYPE_CHECKING:
    from karl.evaluation.runs import Collection, Run

#: Problems that are named; --json has all.
_NAMED_MAX = 10


def known_version(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    """Let a version of the reward pass, or none; anything else is misuse."""
    from karl.reward.score import VERSIONS  # noqa: PLC0415 - `--help` needs no reward

    if value is not None and value not in VERSIONS:
        raise click.BadParameter(f"there is no version {plain(value)!r}; there are: {', '.join(VERSIONS)}")
    return value


VERSION = click.option(
    "--version", callback=known_version, help="The reward's version; that of the settings when not given."
)


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...", type=click.Path(path_type=Path))
@VERSION
@click.option(
    "--baseline",
    "baselines",
    multiple=True,
    help="What to compare with: a version, or `steps` (fewer calls are better); repeatable. [1 and steps]",
)
@click.option("--set", "sets", multiple=True, help="Only this set; repeatable.")
@click.option(
    "--calibration",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Apply what `karl reward calibrate --file` wrote; runs that taught it look too good by it.",
)
@click.option(
    "--draws", default=1000, show_default=True, type=click.IntRange(50, 20_000), help="Bootstrap draws."
)
@click.option("--seed", default=0, show_default=True, help="Of the draws.")
@click.option("--components", is_flag=True, help="Show the components as well.")
@click.option("--plot", is_flag=True, help="Draw what was said against what was.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with everything.")
@pass_settings
def evaluate(
    settings: Settings,
    *,
    paths: tuple[Path, ...],
    version: str | None,
    baselines: tuple[str, ...],
    sets: tuple[str, ...],
    calibration: Path | None,
    draws: int,
    seed: int,
    components: bool,
    plot: bool,
    as_json: bool,
) -> None:
    """Hold the reward against runs whose outcome somebody judged.

    PATH is a file or folder of labelled runs: JSONL (also .xz, .gz) with a run a line, labels.jsonl beside
    runs of mini-SWE-agent or Vorflux, results of tau-bench. Each set is reported on its own: AUROC with its
    95 % interval, the share of pairs of one task that are ordered rightly, Brier score and calibration
    error, each signal, and the differences to the baselines. The label, and what may carry it, never reaches
    the reward. Ends with 1 when a line could not be read.

    Example: karl reward evaluate runs/ --components
    """
    from karl.cli.reward_shown import show_set  # noqa: PLC0415 - numpy loads when needed
    from karl.evaluation.assess import FEWER_STEPS, assess  # noqa: PLC0415
    from karl.evaluation.calibrations import from_file  # noqa: PLC0415

    read = labelled(paths, sets)
    with measuring("assessing") as progress:
        reports = assess(
            read.runs,
            version=version or settings.reward_version,
            baselines=baselines or ("1", FEWER_STEPS),
            calibrations=from_file(calibration) if calibration else {},
            draws=draws,
            seed=seed,
            progress=progress,
        )
    if as_json:
        print_json(
            {"sets": reports, "problems": [one._asdict() for one in read.problems], "twice": read.twice}
        )
    else:
        for report in reports:
            show_set(report, components=components, plot=plot)
    finish(read, as_json=as_json)


def labelled(paths: tuple[Path, ...], sets: tuple[str, ...]) -> Collection:
    """Read labelled runs, of some sets or of all. Raises KarlError where there is no path."""
    from karl.evaluation.reading import read  # noqa: PLC0415

    with counting("reading") as progress:
        found = read(list(paths), progress)
    if sets:
        chosen: list[Run] = [run for run in found.runs if run.set in sets]
        there = sorted({run.set for run in found.runs})
        missing = [name for name in sets if name not in there]
        if missing:
            known = plain(", ".join(there)) or "none"
            click.echo(f"no set is called {plain(', '.join(missing))}; there are: {known}", err=True)
        found = found._replace(runs=chosen)
    return found


def finish(read: Collection, *, as_json: bool) -> None:
    """Name what could not be read; exit 1 when there was any, or nothing at all was read."""
    if not as_json:
        for problem in read.problems[:_NAMED_MAX]:
            where = f"{problem.file}:{problem.line}" if problem.line else problem.file
            click.echo(f"{plain(where)}: {plain(problem.reason)}", err=True)
        if len(read.problems) > _NAMED_MAX:
            click.echo(f"and {len(read.problems) - _NAMED_MAX:,} more (--json names all)", err=True)
        if read.twice:
            click.echo(f"{read.twice:,} runs were there twice and count once", err=True)
        if not read.runs:
            click.echo("no labelled runs there", err=True)
    bad = sum(1 for problem in read.problems if not problem.passed_over)
    sys.exit(1 if bad or not read.runs else 0)
