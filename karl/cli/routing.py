"""Routing held against labelled sets: `karl routing evaluate`."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from karl.cli.main import pass_settings
from karl.cli.render import measuring, plain, print_json
from karl.settings import Settings

if TYPE_CHECKING:
    from karl.evaluation.routing.labelled import Read

#: Problems that are named; --json has all.
_NAMED_MAX = 10
#: Exemplars of a label where nobody says how many.
_WITHOUT, _WITH_SKILLS = (5, 10, 50), (0, 1, 2, 5)


def _numbers(_context: click.Context, _parameter: click.Parameter, value: str | None) -> tuple[int, ...]:
    if value is None:
        return ()
    try:
        found = tuple(sorted({int(part) for part in value.split(",")}))
    except ValueError:
        found = ()
    if not found or found[0] < 0:
        raise click.BadParameter("expected whole numbers from 0 on, with commas between")
    return found


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...", type=click.Path(path_type=Path))
@click.option(
    "--encoder",
    "encoders",
    multiple=True,
    metavar="NAME",
    help="minilm, static, http, or several with + between; repeatable. [static and the best installed]",
)
@click.option(
    "--skills",
    "skills",
    multiple=True,
    metavar="FILE|DIR",
    type=click.Path(path_type=Path),
    help="Skills that prompts may go to, with their descriptions: a list or a folder; repeatable.",
)
@click.option(
    "--per-class",
    callback=_numbers,
    metavar="N,N",
    help="Exemplars of each label; 0 only with --skills. [5,10,50; with --skills 0,1,2,5]",
)
@click.option(
    "--seed", default=0, show_default=True, help="Of which prompts are exemplars, and of the draws."
)
@click.option(
    "--draws", default=1000, show_default=True, type=click.IntRange(50, 20_000), help="Bootstrap draws."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with everything.")
@pass_settings
def evaluate(
    settings: Settings,
    *,
    paths: tuple[Path, ...],
    encoders: tuple[str, ...],
    skills: tuple[Path, ...],
    per_class: tuple[int, ...],
    seed: int,
    draws: int,
    as_json: bool,
) -> None:
    """Hold routing against prompts that somebody labelled.

    PATH is a file or folder: JSONL or CSV of text and label, or JSON with parts as CLINC150 comes. What is
    reported is the test part (NAME_test beside NAME_train, or a part `test`), else the validation part, else
    prompts of the train part that are no exemplars. Prompts labelled `oos` fit no label. Each head is
    compared with plain centroids, with tf-idf and with regular expressions made of the labels. Ends with 1
    when something could not be read.

    With --skills labels are skills' names, and prompts go to any of these: with 0 exemplars by descriptions
    alone.

    Example: karl routing evaluate clinc150_train.jsonl clinc150_test.jsonl --per-class 10
    """
    if per_class and not per_class[0] and not skills:
        raise click.UsageError("with 0 exemplars nothing is known of the labels; --skills gives descriptions")
    from karl.cli.routing_shown import show  # noqa: PLC0415 - numpy loads when needed
    from karl.evaluation.routing.assess import assess  # noqa: PLC0415
    from karl.evaluation.routing.catalogue import read_skills  # noqa: PLC0415
    from karl.evaluation.routing.labelled import read  # noqa: PLC0415
    from workers.encoder import opened_encoder  # noqa: PLC0415

    found = read(list(paths))
    catalogue = read_skills(skills, Path.home())
    found.problems.extend(catalogue.problems)
    with ExitStack() as stack:
        named = _named(settings, encoders)
        each = [stack.enter_context(opened_encoder(settings, name)) for name in named]
        opened = {one.name: one for one in each}
        with measuring("assessing") as progress:
            reports = assess(
                found.sets,
                {name: one.encode for name, one in opened.items()},
                per_class=per_class or (_WITH_SKILLS if skills else _WITHOUT),
                skills=catalogue.skills,
                draws=draws,
                seed=seed,
                progress=progress,
            )
    if as_json:
        versions = {name: {"version": one.version, "dim": one.dim} for name, one in opened.items()}
        problems = [one._asdict() for one in found.problems]
        print_json({"encoders": versions, "sets": reports, "problems": problems, "twice": found.twice})
    else:
        for report in reports:
            show(report)
    _finish(found, reports=len(reports), as_json=as_json)


def _named(settings: Settings, names: tuple[str, ...]) -> list[str]:
    """Name the encoders to measure; says where there is none."""
    from karl.encoders.choose import PARTS, best, missing  # noqa: PLC0415

    if unknown := sorted({part for name in names for part in name.split("+")} - set(PARTS)):
        raise click.UsageError(f"there is no encoder {plain(unknown[0])}; there are {', '.join(PARTS)}")
    usual = settings.embed_encoder or ("http" if settings.embed_url else best())
    chosen = list(names) or [name for name in ("static", usual) if name and not missing(name)]
    if not chosen:
        click.echo("only words are looked at: pip install 'karl-ledger[embed]' brings two encoders", err=True)
    return list(dict.fromkeys(chosen))


def _finish(found: Read, *, reports: int, as_json: bool) -> None:
    """Name what could not be read; exit 1 when there was any, or nothing could be assessed."""
    if not as_json:
        for problem in found.problems[:_NAMED_MAX]:
            where = f"{problem.file}:{problem.line}" if problem.line else problem.file
            click.echo(f"{plain(where)}: {plain(problem.reason)}", err=True)
        if len(found.problems) > _NAMED_MAX:
            click.echo(f"and {len(found.problems) - _NAMED_MAX:,} more (--json names all)", err=True)
        if found.twice:
            click.echo(f"{found.twice:,} prompts were there twice and count once", err=True)
        if not reports:
            click.echo("no set of two labels with prompts to report there", err=True)
    sys.exit(1 if found.problems or not reports else 0)
