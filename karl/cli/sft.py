"""Training an adapter: launching a run, following it, bringing the adapter here."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from karl.cli.job_done import awaited
from karl.cli.main import pass_settings
from karl.cli.people import no_secret, user_at
from karl.cli.render import measuring, plain, print_json
from karl.cli.sft_shown import Heard, print_curve
from karl.errors import KarlError, Refused
from karl.settings import Settings

if TYPE_CHECKING:
    from karl.jobs.listing import WorkerFacts
    from workers.launching import DataSet, Launched

_PATH = click.Path(path_type=Path)  # what is wrong with it is said in our words


def recipe_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of a recipe; what is not given is the recipe's own default."""
    for option in reversed(
        (
            click.option(
                "--model", metavar="NAME", help="Base model, as the node knows it. [KARL_TRAIN_MODEL]"
            ),
            click.option("--iters", type=click.IntRange(1), help="Iterations, each one batch. [200]"),
            click.option("--batch", type=click.IntRange(1), help="Rows in a batch. [4]"),
            click.option(
                "--layers", type=click.IntRange(-1), help="Layers that learn, from the last; -1 all. [8]"
            ),
            click.option("--rank", type=click.IntRange(1), help="Rank of the adapter. [8]"),
            click.option("--learning-rate", type=float, help="Step size. [0.0001]"),
            click.option("--max-tokens", type=click.IntRange(16), help="Longest row. [512]"),
            click.option("--seed", type=click.IntRange(0), help="Seed of order and of what is random. [0]"),
            click.option("--every", type=click.IntRange(1), help="Iterations between checkpoints. [25]"),
            click.option(
                "--valid-rows", type=click.IntRange(0), help="Rows validated with, at most; 0 all. [100]"
            ),
            click.option("--unweighted", is_flag=True, help="Leave the rows' weights out of the loss."),
            click.option("--label", default="", callback=no_secret, help="A name for what comes of it."),
        )
    ):
        command = option(command)
    return command


@click.command(name="sft-launch")
@click.argument("folder", metavar="DIR", type=_PATH)
@recipe_options
@click.option("--wait/--no-wait", default=False, help="Follow it to its end, and fetch the adapter.")
@click.option("--dry-run", is_flag=True, help="Check everything, and ask for nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_settings
def sft_launch(
    settings: Settings, folder: Path, *, wait: bool, dry_run: bool, as_json: bool, **recipe: Any
) -> None:
    """Train an adapter from the data set in DIR on the node that KARL_GPU_NODE names.

    The files are checked against the manifest, and no session may be held out by now. They travel through
    Redis; the node needs no disk in common with this machine, and nobody needs ssh. A run with the same data,
    model and recipe is the same run: it goes on where it was, or is there at once.
    """
    from workers.launching import may_train, opened  # noqa: PLC0415 - SQLite loads when it is asked

    found = opened(folder)
    settle(settings)
    may_train(settings, found)
    if dry_run:
        _say_dry(settings, found, given(recipe), as_json=as_json)
        return
    launched, nodes = launch(settings, found, given(recipe))
    if not wait:
        if as_json:
            print_json({**launched._asdict(), "export": found.id, "nodes": nodes.workers})
        else:
            say_launched(launched, nodes, settings)
        return
    result = follow(settings, launched.job)
    adapter, place = fetch(settings, result)
    if as_json:
        print_json({**result, "folder": str(place)})
        return
    print_curve(result["curve"])
    say_fetched(adapter, place, folder)


@click.command(name="sft-fetch")
@click.argument("run", required=False, default="")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_settings
def sft_fetch(settings: Settings, run: str, *, as_json: bool) -> None:
    """Bring the adapter of a training here: of RUN, or of the newest that made one.

    RUN is an adapter, a run or a label. What is fetched is checked against the ledger's record; what is here
    already is only checked.
    """
    from workers.launching import fetched  # noqa: PLC0415 - SQLite and Redis load when they are asked
    from workers.line import on_line  # noqa: PLC0415

    with on_line(settings, "karl-fetch") as redis, measuring("fetching", in_bytes=True) as progress:
        place, adapter = fetched(settings, redis, run, progress)
    if as_json:
        print_json({"adapter": adapter, "folder": str(place)})
    else:
        say_fetched(adapter, place)


def given(recipe: dict[str, Any]) -> dict[str, Any]:
    """Give the arguments of the job that were given as options."""
    named = {name: value for name, value in recipe.items() if value is not None and name != "unweighted"}
    return {**named, "weighted": False} if recipe.get("unweighted") else named


def settle(settings: Settings) -> None:
    """Wait until the views know what was held out last. Raises Refused, LineDown."""
    import time  # noqa: PLC0415 - it is waited here alone

    from workers.line import on_line  # noqa: PLC0415
    from workers.records import settled  # noqa: PLC0415

    with on_line(settings, "karl-launch") as redis:
        settled(redis, settings, time.sleep)


class Nodes(NamedTuple):
    """The workers that train; `called` says that one is started when something waits."""

    workers: list[WorkerFacts]
    called: bool

    @property
    def served(self) -> bool:
        """Say whether somebody will train."""
        return bool(self.workers) or self.called


def nodes_of(rq: Any) -> Nodes:
    """Ask who trains. Raises the client's error."""
    from karl.jobs import listing  # noqa: PLC0415 - Redis loads when it is asked

    called = next(one.called for one in listing.facts(rq) if one.queue == "train")
    return Nodes(listing.workers(rq, "train"), bool(called))


class Asked(NamedTuple):
    """A training that was asked for, and who may take it."""

    launched: Launched
    nodes: Nodes


def launch(settings: Settings, found: DataSet, more: dict[str, Any]) -> Asked:
    """Send a data set and ask for its training. Raises Refused, LineDown."""
    from workers import launching  # noqa: PLC0415
    from workers.line import on_jobs, on_line  # noqa: PLC0415

    more = {"model": settings.train_model, "person": user_at(settings), **more}
    with (
        on_line(settings, "karl-launch") as redis,
        on_jobs(settings, "karl-launch") as rq,
        measuring("sending", in_bytes=True) as progress,
    ):
        launched = launching.launch(redis, rq, found, progress, **more)
        return Asked(launched, nodes_of(rq))


def say_launched(launched: Launched, nodes: Nodes, settings: Settings) -> None:
    """Say what was asked for, and who will do it."""
    click.echo(
        f"{launched.job} waits in the queue train" + ("" if launched.new else ", where it was already")
    )
    click.echo(
        f"`karl sft-status {launched.job}` shows how far it is; `karl jobs cancel {launched.job}` ends it"
    )
    if not nodes.served:
        click.echo(f"karl: nobody trains now: {how_to_start(settings)}", err=True)


def how_to_start(settings: Settings) -> str:
    """Say what has to be started where, for somebody to train."""
    server = settings.rq_url or settings.redis_url
    if settings.gpu_node:
        where = " or ".join(map(plain, settings.gpu_node))
        said = f"start `karl worker jobs train` on {where}"
    else:
        said = (
            "name a node that trains, as KARL_GPU_NODE=NODE in its environment, and start `karl worker jobs "
            f"train` there; for this machine, `KARL_GPU_NODE={plain(settings.node)} karl worker jobs train`"
        )
    return said if server else f"{said} (elsewhere than here it needs KARL_REDIS_URL)"


def follow(settings: Settings, job: str) -> dict[str, Any]:
    """Wait for the end of a training and show how far it is; gives its result. Raises KarlError."""
    from workers.line import on_jobs  # noqa: PLC0415

    says = f"karl: the job {job} waits in the queue train; Ctrl-C ends the waiting, not the job"
    with on_jobs(settings, "karl-follow") as rq:
        told, result = awaited(rq, job, "train", otherwise=says, heard=Heard())
    if told.status != "finished":
        raise KarlError(f"the training {job} {told.status}: {result.failure or 'no reason is known'}")
    return dict(result.result)


def fetch(settings: Settings, result: dict[str, Any]) -> tuple[str, Path]:
    """Bring here the adapter that a training's result names. Raises KarlError."""
    from workers.adapter_files import folder_of  # noqa: PLC0415
    from workers.line import on_line  # noqa: PLC0415

    adapter = str(result["adapter"])
    with on_line(settings, "karl-fetch") as redis:
        return adapter, folder_of(settings, redis, adapter, str(result["parcel"]))


def say_fetched(adapter: str, place: Path, data: Path | None = None) -> None:
    """Say where an adapter is, and what to do with it."""
    click.echo(f"the adapter {adapter} is in {plain(place)}")
    held = f"`karl sft-eval {plain(data or 'DIR')}`"
    click.echo(f"a loss is no proof: {held} holds the recipe against what could explain its success")
    click.echo(f"`karl adapters promote {adapter[:12]}` puts it to use once that found a lift")


def _say_dry(settings: Settings, found: DataSet, more: dict[str, Any], *, as_json: bool) -> None:
    from workers.launching import arguments  # noqa: PLC0415
    from workers.line import on_jobs  # noqa: PLC0415

    asked = arguments(found, "0" * 64, **{"model": settings.train_model, **more})
    with on_jobs(settings, "karl-launch") as rq:
        nodes = nodes_of(rq)
    size = sum(made.bytes for made in found.manifest.files.values())
    if as_json:
        print_json(
            {
                "export": found.id,
                "model": asked.model,
                "recipe": asked.recipe,
                "bytes": size,
                "nodes": nodes.workers,
            }
        )
        sys.exit(0 if nodes.served else 1)
    named = asked.recipe.__struct_fields__
    recipe = ", ".join(f"{name} {getattr(asked.recipe, name)}" for name in named)
    click.echo(f"the export {found.id[:12]} would be sent ({size:,} bytes)")
    click.echo(f"{plain(asked.model)} would be trained: {recipe}")
    for one in nodes.workers:
        click.echo(f"it would run on {plain(one.node)}: {plain(one.says)}")
    if not nodes.served:
        raise Refused(f"nobody trains now: {how_to_start(settings)}")
