"""From the ledger to an adapter on this machine in one command: `karl train`."""

from __future__ import annotations

import secrets
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from karl.cli.main import pass_settings
from karl.cli.moments import now_ms
from karl.cli.people import user_at
from karl.cli.render import measuring, plain, print_json
from karl.cli.sft import fetch, follow, given, launch, recipe_options, say_fetched, say_launched, settle
from karl.cli.sft_shown import print_curve
from karl.cli.sft_status import show_all
from karl.settings import Settings

if TYPE_CHECKING:
    from karl.export.budget import Budget
    from karl.export.dataset import Made
    from karl.export.options import DataSetOptions

#: The longest row, where the recipe says nothing else.
_MAX_TOKENS = 512


@click.command()
@recipe_options
@click.option("--status", is_flag=True, help="Show what trains and what was trained, and do nothing.")
@click.option("--dry-run", is_flag=True, help="Say what would be exported and trained, and do nothing.")
@click.option("--wait/--no-wait", default=True, help="Follow it to its end, and fetch the adapter. [wait]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_settings
def train(
    settings: Settings, *, status: bool, dry_run: bool, wait: bool, as_json: bool, **recipe: Any
) -> None:
    """Export the ledger, train an adapter with it on the node that trains, and bring the adapter here.

    The export is kept in the data folder's `exports`: a row a step, split by session and time, weighted by
    advantage, without what is held out. The same ledger, model and recipe make the same export and the same
    run. What came of it is for `karl sft-eval` to say: a loss that falls proves nothing.
    """
    if status:
        show_all(settings, 10, as_json=as_json)
        return
    from workers.launching import may_train, opened  # noqa: PLC0415 - SQLite loads when it is asked

    settle(settings)
    made = _exported(settings, given(recipe), dry_run=dry_run)
    if dry_run:
        _say_dry(made, as_json=as_json)
        return
    found = opened(Path(made.output))
    may_train(settings, found)
    if not as_json:
        rows = ", ".join(f"{plain(name)} {one.rows:,} rows" for name, one in found.manifest.files.items())
        click.echo(f"the export {found.id[:12]} is in {plain(made.output)}: {rows}")
    launched, nodes = launch(settings, found, given(recipe))
    if not as_json:
        say_launched(launched, nodes, settings)
    if not wait:
        if as_json:
            print_json(
                {**launched._asdict(), "export": found.id, "folder": made.output, "nodes": nodes.workers}
            )
        return
    result = follow(settings, launched.job)
    adapter, place = fetch(settings, result)
    if as_json:
        print_json({**result, "data": made.output, "folder": str(place)})
        return
    print_curve(result["curve"])
    say_fetched(adapter, place, Path(made.output))


def _how(settings: Settings, model: str = "", max_tokens: int = 0) -> tuple[DataSetOptions, Budget | None]:
    """Give the data set that `karl train` makes: a row a step, weighted, cut to what the model takes.

    Where the model is not on this machine, rows are not cut here: the training cuts their history.
    """
    from karl.errors import NotFound  # noqa: PLC0415
    from karl.export.budget import Budget, Counter  # noqa: PLC0415 - the tokenizer loads when it is asked
    from karl.export.options import DataSetOptions  # noqa: PLC0415
    from karl.training.base_models import find  # noqa: PLC0415

    plain_set = DataSetOptions(
        format="chatml", detail="brief", weights="awr", reward_version=settings.reward_version
    )
    most, name = max_tokens or _MAX_TOKENS, model or settings.train_model
    try:
        counter = Counter(find(settings.models, name).path)
    except NotFound:
        return plain_set, None
    how = msgspec.structs.replace(plain_set, max_tokens=most, model=name, digest=counter.digest)
    return how, Budget(counter, most)


def made_into(settings: Settings, output: Path | None, model: str = "", max_tokens: int = 0) -> Made:
    """Make that data set and show how far it is; without `output`, only say what it would be."""
    from karl.export.dataset import make  # noqa: PLC0415

    how, budget = _how(settings, model, max_tokens)
    with measuring("export") as progress:

        def told(what: str, done: int, total: int) -> None:
            if progress:
                progress(done, total, what)

        return make(settings.views, settings.ledger, how, output, told, budget=budget)


def _exported(settings: Settings, more: dict[str, Any], *, dry_run: bool) -> Made:
    """Make the data set, under its own id, and say so in the ledger."""
    from workers.exports import record  # noqa: PLC0415
    from workers.line import on_line  # noqa: PLC0415

    model, max_tokens = str(more.get("model", "")), int(more.get("max_tokens", 0))
    if dry_run:
        return made_into(settings, None, model, max_tokens)
    settings.exports.mkdir(parents=True, exist_ok=True, mode=0o700)
    begun = settings.exports / f".{secrets.token_hex(8)}"
    made = made_into(settings, begun, model, max_tokens)
    place = settings.exports / made.id
    _put_there(begun, place)
    with on_line(settings, "karl-train") as redis:
        who, now = user_at(settings), now_ms()
        record(redis, settings, made.manifest, person=who, now_ms=now, wait=time.sleep)
    return msgspec.structs.replace(made, output=str(place))


def _put_there(begun: Path, place: Path) -> None:
    """Give a data set its name; where it is there already, the one that was made now goes."""
    if place.exists():
        shutil.rmtree(begun)
    else:
        begun.rename(place)


def _say_dry(made: Made, *, as_json: bool) -> None:
    if as_json:
        print_json({"export": made.id, "manifest": made.manifest})
        return
    for name, one in made.manifest.files.items():
        click.echo(f"{plain(name)}: {one.rows:,} rows, {one.bytes:,} bytes")
    weights = made.manifest.weights
    if weights.rows:
        click.echo(f"weights: {weights.way}, as good as {weights.ess:,.0f} of {weights.rows:,} rows")
    for reason, number in sorted(made.manifest.left_out.items(), key=lambda one: -one[1]):
        click.echo(f"left out: {number:,} {plain(reason)}")
    click.echo("nothing was kept and nothing was asked for")
