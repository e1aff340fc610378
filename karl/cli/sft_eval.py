"""Adapters held against what could explain their success: `karl sft-eval`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from karl.cli.main import pass_settings
from karl.cli.people import no_secret
from karl.cli.render import plain, print_json
from karl.errors import KarlError
from karl.learning.arms import TRAINED
from karl.settings import Settings

#: How each adapter is trained; what is not said is the recipe's own.
_RECIPE = (
    click.option("--iters", "--steps", "iters", type=click.IntRange(1), help="Iterations of a run.  [200]"),
    click.option("--batch", type=click.IntRange(1), help="Rows an iteration.  [4]"),
    click.option("--layers", type=click.IntRange(-1), help="Layers from the last one, -1 for all.  [8]"),
    click.option("--rank", type=click.IntRange(1), help="Rank of the adapter.  [8]"),
    click.option("--learning-rate", type=click.FloatRange(0, 1, min_open=True), help="[0.0001]"),
    click.option("--max-tokens", type=click.IntRange(16), help="The longest row.  [512]"),
    click.option("--seed", type=click.IntRange(0, 2**31), help="The first of the seeds.  [0]"),
)
_NAMES = ("iters", "batch", "layers", "rank", "learning_rate", "max_tokens", "seed")


def _recipe(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of a recipe."""
    for option in reversed(_RECIPE):
        command = option(command)
    return command


@click.command("sft-eval")
@click.argument("run", metavar="[RUN|DIR]", required=False)
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    help="A data set, exported with --detail brief; where RUN is given, what it was trained with.",
)
@click.option("--model", default="", help="The base model.  [KARL_TRAIN_MODEL]")
@_recipe
@click.option("--seeds", default=5, show_default=True, type=click.IntRange(1, 100), help="Runs of each arm.")
@click.option(
    "--items", default=150, show_default=True, type=click.IntRange(1, 100_000), help="Held-out steps at most."
)
@click.option(
    "--share",
    default=0.5,
    show_default=True,
    type=click.FloatRange(0, 1, min_open=True),
    help="Share of the rows that the arms random, reward and advantage learn from.",
)
@click.option(
    "--arms", default=",".join(TRAINED), show_default=True, help="Arms that are trained, commas between."
)
@click.option(
    "--label", default="", metavar="NAME", callback=no_secret, help="A name for the adapter that is kept."
)
@click.option("--wait/--no-wait", default=None, help="Wait for the end.  [on a terminal]")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and how long it might take.")
@click.option("--show", "shown", metavar="ID", help="Show an earlier evaluation; `latest` for the last.")
@click.option(
    "--recompute", metavar="ID|FILE", help="Compute an evaluation again from its bits, and compare."
)
@click.option("--check", is_flag=True, help="Exit with 1 unless the verdict is lift.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_settings
def sft_eval(
    settings: Settings, *, shown: str | None, recompute: str | None, check: bool, as_json: bool, **asked: Any
) -> None:
    """Train adapters in several arms and say whether the reward's choice made them better; it may not have.

    Arms are all rows, a random choice of them, the best by reward, and the best by advantage with its weights
    (what adapters are made with), each with several seeds, all with the same model and as many iterations;
    beside them the model as it is, and two tables that only count tools. All are judged by the next actions
    of held-out sessions. A lift needs five seeds, an interval of the advantage arm less the random one above
    0, and no loss on plain instructions. The evaluation becomes a record, with all that its figures follow
    from.

    With DIR, a data set, the advantage arm's adapter of the first seed is kept. With RUN, a training or its
    adapter, that adapter itself is judged beside others of its recipe.

    Ctrl-C ends the waiting, not the job. What was judged before a job was broken off is not done again.

    Example: karl sft-eval DIR --iters 60 --max-tokens 256
    """
    if shown and recompute:
        raise click.UsageError("--show and --recompute do not go together")
    if recompute:
        _recompute(settings, recompute, as_json=as_json, check=check)
    elif shown:
        from karl.cli.sft_eval_read import recorded  # noqa: PLC0415 - SQLite loads when needed

        _tell(recorded(settings, shown), as_json=as_json, check=check)
    else:
        _evaluate(settings, asked, as_json=as_json, check=check)


def _evaluate(settings: Settings, asked: dict[str, Any], *, as_json: bool, check: bool) -> None:
    from karl.cli import sft_eval_asked as asking  # noqa: PLC0415 - Redis and SQLite load when needed

    wait, dry_run = asked.pop("wait"), asked.pop("dry_run")
    if asked["run"] and not asked["data"] and Path(asked["run"]).is_dir():
        asked["run"], asked["data"] = None, Path(asked["run"])
    if not asked["run"] and not asked["data"]:
        raise click.UsageError("name a data set as DIR, or a training as RUN")
    arms = tuple(name.strip() for name in asked.pop("arms").split(",") if name.strip())
    if unknown := [name for name in arms if name not in TRAINED]:
        raise click.UsageError(f"there is no arm {plain(unknown[0])!r}; there are {', '.join(TRAINED)}")
    recipe = {name: asked.pop(name) for name in _NAMES}
    with asking.planned(settings, asking.Wanted(**asked, arms=arms, recipe=recipe)) as plan:
        if dry_run:
            told = asking.estimate(settings, plan)
            if as_json:
                print_json(told)
            else:
                from karl.cli.sft_eval_shown import show_plan  # noqa: PLC0415

                show_plan(told)
            return
        body = asking.ask(
            settings, plan, wait=as_json or check or (wait is not False and (wait or _watched()))
        )
    if body is not None:
        _tell(body, as_json=as_json, check=check)


def _watched() -> bool:
    return sys.stderr.isatty()


def _tell(body: Any, *, as_json: bool, check: bool) -> None:
    from karl.learning.lift import recomputed  # noqa: PLC0415 - numpy loads when needed

    found = recomputed(body)
    if as_json:
        from karl.cli.sft_eval_shown import as_document  # noqa: PLC0415

        print_json(as_document(body, found))
    else:
        from karl.cli.sft_eval_shown import show  # noqa: PLC0415

        show(body, found)
    sys.exit(1 if check and found.verdict != "lift" else 0)


def _recompute(settings: Settings, name: str, *, as_json: bool, check: bool) -> None:
    from karl.cli.sft_eval_read import read, recorded  # noqa: PLC0415 - SQLite loads when needed
    from karl.learning.lift import differs, recomputed  # noqa: PLC0415

    body = read(Path(name)) if Path(name).is_file() else recorded(settings, name)
    found = recomputed(body)
    said = differs(body, found)
    if as_json:
        from karl.cli.sft_eval_shown import as_document  # noqa: PLC0415

        print_json({**as_document(body, found), "agrees": not said, "differs": said})
    else:
        from karl.cli.sft_eval_shown import show  # noqa: PLC0415

        show(body, found)
        click.echo()
        for one in said:
            click.echo(plain(f"the record says otherwise: {one}"))
        if not said:
            click.echo("computed again from the bits of each run alone: the record agrees")
    if said:
        raise KarlError(f"the evaluation {body.id[:12]} is not what its bits come to")
    sys.exit(1 if check and found.verdict != "lift" else 0)
