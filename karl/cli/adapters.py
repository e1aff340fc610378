"""Adapters: which there are, what each is made of, which one is in use: `karl adapters`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from karl.cli.main import pass_settings
from karl.cli.people import a_reason, only_people, user_at, without_secrets
from karl.cli.render import measuring, plain, print_json
from karl.settings import Settings

if TYPE_CHECKING:
    from karl.training.order import Notice
    from workers.doors import Doors

_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON, with everything.")
_MODEL = click.option(
    "--model", default="", metavar="NAME", help="Where the base model is, if not under its own name."
)


@click.command()
@_JSON
@pass_settings
def list_(settings: Settings, *, as_json: bool) -> None:
    """List the adapters that were trained, newest first: of which data and model, and whether one earned it.

    Figures are as they were recorded; `karl adapters show` computes them again. Run it where the views are.
    """
    from karl.cli.adapters_shown import show_list  # noqa: PLC0415 - SQLite loads when it is asked
    from karl.views.lineage import Lineage  # noqa: PLC0415
    from workers.adapters import linked, listed  # noqa: PLC0415

    with Lineage(settings.views) as views:
        found = listed(settings, views)
        current = views.current()
    show_list(found, current, linked(settings), as_json=as_json)


@click.command()
@click.argument("adapter", metavar="ID")
@_JSON
@pass_settings
def show(settings: Settings, adapter: str, *, as_json: bool) -> None:
    """Show what an adapter is made of: ledger lines, export, training, evaluation, decisions; check by check.

    ID is the adapter's, the beginning of it, the label of its training, or `current`. Hashes are compared
    with the files that are here, figures are computed again from the evaluation's runs. Exit code 1 when
    something is broken.
    """
    from karl.cli.adapters_shown import broken, show_one  # noqa: PLC0415
    from karl.views.lineage import Lineage  # noqa: PLC0415
    from workers.adapters import examine  # noqa: PLC0415

    with Lineage(settings.views) as views:
        found = examine(settings, views, adapter)
    show_one(found, as_json=as_json)
    raise SystemExit(1 if broken(found) else 0)


@click.command()
@click.argument("adapter", metavar="ID")
@click.option("--force", is_flag=True, help="Whatever it has earned; the record says so. Needs --reason.")
@click.option("--reason", callback=a_reason, metavar="TEXT", help="Why; it stays in the ledger.")
@_JSON
@pass_settings
def promote(settings: Settings, adapter: str, *, force: bool, reason: str | None, as_json: bool) -> None:
    """Put an adapter to use when it has earned it; a refusal says check by check what is missing.

    It needs an evaluation that judged this adapter, the newest of them with the verdict lift and an interval
    above 0, both computed again from its runs; a holdout that its training did not touch; sessions that were
    not erased since; and its files, which are fetched where they are not here.

    Which adapter is in use is a record of the ledger. The link `current` in the folder of adapters leads to
    it on this machine. Run it where the views are, while the line runs.
    """
    from karl.cli.adapters_shown import show_decided  # noqa: PLC0415
    from workers.adapters import promote as run  # noqa: PLC0415

    if force and reason is None:
        raise click.UsageError("--force needs --reason")
    if force:
        only_people()
    with _doors(settings) as doors:
        why = without_secrets(reason) if reason else ""
        done = run(doors, adapter, person=user_at(settings), reason=why, force=force)
    show_decided(done, as_json=as_json)


@click.command()
@click.argument("adapter", metavar="ID", required=False)
@click.option(
    "--reason", required=True, callback=a_reason, metavar="TEXT", help="Why; it stays in the ledger."
)
@_JSON
@pass_settings
def rollback(settings: Settings, adapter: str | None, *, reason: str, as_json: bool) -> None:
    """Put to use the adapter that was in use before, or the one of ID that once was; none, where none was.

    Run it where the views are, while the line runs.
    """
    from karl.cli.adapters_shown import show_decided  # noqa: PLC0415
    from workers.adapters import rollback as run  # noqa: PLC0415

    with _doors(settings) as doors:
        done = run(doors, adapter, person=user_at(settings), reason=without_secrets(reason))
    show_decided(done, as_json=as_json)


@click.command()
@click.argument("adapter", metavar="ID")
@click.option(
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder for the model, which must not be there yet.",
)
@click.option("--gguf", is_flag=True, help="Write a file model.gguf for llama.cpp into it, too.")
@_MODEL
@_JSON
@pass_settings
def fuse(settings: Settings, adapter: str, *, output: Path, gguf: bool, model: str, as_json: bool) -> None:
    """Write the model with an adapter's changes in it into a folder of its own, whole or not at all.

    What loads such folders needs no adapter then. The base model must be the one that the adapter was trained
    for, by its hash. Needs the extra `train`.
    """
    from workers.adapter_use import fuse as run  # noqa: PLC0415 - mlx runs in a process of its own

    with _told("fusing") as progress:
        made = run(settings, adapter, output, model=model, gguf=gguf, progress=progress)
    if as_json:
        print_json(made)
    else:
        click.echo(f"{plain(made.out)}: {made.bytes:,} bytes")


@click.command(name="try")
@click.argument("adapter", metavar="ID")
@click.argument("prompt")
@click.option("--base", is_flag=True, help="Let the base model answer, without the adapter.")
@click.option("--tokens", default=64, show_default=True, type=click.IntRange(1), help="Tokens at most.")
@_MODEL
@_JSON
@pass_settings
def try_(
    settings: Settings, adapter: str, prompt: str, *, base: bool, tokens: int, model: str, as_json: bool
) -> None:
    """Let a model answer PROMPT with an adapter, by its most likely tokens; with --base, without it.

    An answer or two say nothing of whether an adapter is better: `karl sft-eval` does. Needs the extra
    `train`.
    """
    from workers.adapter_use import answer  # noqa: PLC0415 - mlx runs in a process of its own

    made = answer(settings, adapter, prompt, model=model, base=base, tokens=tokens)
    if as_json:
        print_json(made)
    else:
        click.echo(plain(made.text))


@contextmanager
def _doors(settings: Settings) -> Iterator[Doors]:
    from workers.doors import Doors  # noqa: PLC0415 - Redis loads when it is asked
    from workers.line import on_line  # noqa: PLC0415

    with on_line(settings, "karl-adapters") as redis:
        yield Doors(settings, redis)


@contextmanager
def _told(what: str) -> Iterator[Callable[[Notice], None]]:
    with measuring(what) as progress:

        def tell(told: Notice) -> None:
            if progress is not None:
                progress(told.iteration, max(1, told.iterations), told.where)

        yield tell
