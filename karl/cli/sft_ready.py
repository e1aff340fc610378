"""Whether there is enough to train with, and whether a data set is worth it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from karl.cli.job_done import span
from karl.cli.main import pass_settings
from karl.cli.render import measuring, plain, print_json
from karl.cli.sft import given, recipe_options
from karl.cli.sft_shown import print_findings
from karl.errors import NotFound, Refused
from karl.settings import Settings

if TYPE_CHECKING:
    from karl.schema.learning import Manifest

_PATH = click.Path(path_type=Path)


@click.command(name="sft-ready")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_settings
def sft_ready(settings: Settings, *, as_json: bool) -> None:
    """Say whether the ledger has enough to train an adapter with, and what is missing.

    Counted are turns graded high or medium among their own agent's (30 at least), the sessions and rows of
    the data set that `karl train` would make now (10 sessions, 100 rows to train with, 20 to validate with),
    and sessions held out (5). Fewer than 5 skills is a warning: most turns have none. Exits with 1 when not
    ready.
    """
    from karl.figures.chosen import choose  # noqa: PLC0415 - `--help` needs no database
    from karl.figures.quality import quality_of  # noqa: PLC0415
    from karl.figures.readiness import ready, variety_of  # noqa: PLC0415
    from karl.learning.findings import ok  # noqa: PLC0415
    from karl.views.figures import Figures  # noqa: PLC0415
    from karl.views.filter import ALL  # noqa: PLC0415
    from karl.views.lineage import Lineage  # noqa: PLC0415

    with Figures(settings.views) as views:
        graded = quality_of(choose(views.measured(ALL), settings.reward_version))
        about = variety_of(views.walk())
    with Lineage(settings.views) as lineage:
        held = len(lineage.held_out())
    manifest, why = _manifest(settings)
    looked = ready(graded, about, held, manifest, why)
    if as_json:
        print_json({"ready": ok(looked), "looked": looked})
    else:
        print_findings(looked)
        click.echo("ready: `karl train` makes an adapter of it" if ok(looked) else "not ready yet")
    sys.exit(0 if ok(looked) else 1)


@click.command(name="train-dryrun")
@click.argument("folder", metavar="DIR", type=_PATH)
@recipe_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_settings
def train_dryrun(settings: Settings, folder: Path, *, as_json: bool, **recipe: Any) -> None:
    """Say what a training with the data set in DIR would be: rows, tokens, how long, and go or no go.

    Tokens are counted by the model's own tokenizer where the model is here. How long it takes follows from
    the newest evaluation or training of the same model that the ledger knows of. Exits with 1 on no go.
    """
    from karl.figures.readiness import worth  # noqa: PLC0415
    from karl.figures.row_counts import counted  # noqa: PLC0415
    from karl.learning.cost import of_training  # noqa: PLC0415
    from karl.learning.findings import ok  # noqa: PLC0415
    from karl.learning.manifests import TRAIN, VALID  # noqa: PLC0415
    from workers.launching import arguments, faults, held_by_now, opened  # noqa: PLC0415
    from workers.speed import speed_of  # noqa: PLC0415

    found = opened(folder)
    asked = arguments(found, "0" * 64, **{"model": settings.train_model, **given(recipe)})
    with measuring("counting tokens") as progress:
        train = counted(folder / TRAIN, settings.models, asked.model, asked.max_tokens, progress)
    held = held_by_now(settings, found.manifest)
    looked = worth(found.manifest, train, asked.recipe, faults(found.manifest), len(held))
    speed = speed_of(settings, asked.model)
    valid = found.manifest.files.get(VALID)
    seconds = speed.seconds(of_training(asked.recipe, valid=valid.rows if valid else 0))
    epochs = asked.iters * asked.batch / train.rows if train.rows else 0.0
    if as_json:
        told = {
            "go": ok(looked),
            "export": found.id,
            "model": asked.model,
            "recipe": asked.recipe,
            "train": train,
        }
        print_json({**told, "epochs": epochs, "seconds": seconds, "looked": looked})
        sys.exit(0 if ok(looked) else 1)
    print_findings(looked)
    click.echo(
        f"{asked.iters:,} iterations of {asked.batch} rows go {epochs:.1f} times through {train.rows:,} rows"
    )
    if seconds is None:
        click.echo(f"nobody knows how long that takes: {plain(speed.basis)}")
    else:
        click.echo(f"about {span(seconds)}: {plain(speed.basis)}")
    click.echo("go" if ok(looked) else "no go")
    sys.exit(0 if ok(looked) else 1)


def _manifest(settings: Settings) -> tuple[Manifest | None, str]:
    from karl.cli.sft_train import made_into  # noqa: PLC0415

    try:
        return made_into(settings, None).manifest, ""
    except (NotFound, Refused) as error:
        return None, str(error)
