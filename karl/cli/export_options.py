"""The options of `karl export`: those that choose turns, those of data sets, and those of archives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from karl.cli.moments import when

_SHARE = click.FloatRange(0, 1)
_PART = click.FloatRange(0, 1, min_open=True, max_open=True)
_POSITIVE = click.FloatRange(0, min_open=True)

_FILTERS = (
    click.option(
        "--session", "ids", multiple=True, metavar="ID", help="Only this session; may be given again."
    ),
    click.option("--agent", help="Only this kind of agent."),
    click.option("--project", "--repository", "--repo", help="Only this project."),
    click.option("--node", help="Only this machine."),
    click.option("--fleet", help="Only this fleet."),
    click.option("--since", "since_ms", type=when, help="Only turns closed since: 90m, 12h, 7d, or a date."),
    click.option("--until", "until_ms", type=when, help="Only turns closed before that."),
    click.option("--min-reward", type=_SHARE, help="Only rewards from this on."),
    click.option("--max-reward", type=_SHARE, help="Only rewards up to this."),
    click.option("--human-only", is_flag=True, help="Only turns that a person asked for."),
    click.option("--completed", is_flag=True, help="Only turns that the agent brought to their end."),
    click.option("--failed", is_flag=True, help="Only turns in which a call failed."),
    click.option("--search", metavar="WORDS", help="Only turns whose prompt has all of these words."),
    click.option("--limit", type=click.IntRange(1), help="Trajectories at most, the oldest sessions' first."),
    click.option("--subagents", is_flag=True, help="What subagents did too, apart."),
)
_DATA_SET = (
    click.option(
        "--detail",
        type=click.Choice(("full", "brief")),
        help="full: what was said and done (default). brief: the actions alone (default of completions).",
    ),
    click.option(
        "--from-seq", type=click.IntRange(1), default=1, help="Only turns from this line of the ledger on."
    ),
    click.option(
        "--to-seq", type=click.IntRange(0), default=0, help="As the ledger was when this line was its last."
    ),
    click.option(
        "--reward-version", metavar="VERSION", help="Scores of this version; default: the settings'."
    ),
    click.option(
        "--split",
        type=click.Choice(("time", "hash")),
        default="time",
        show_default=True,
        help="What goes to valid: the newest, or those that a seeded hash picks.",
    ),
    click.option("--valid", type=_PART, default=0.1, show_default=True, help="Share of the rows in valid."),
    click.option(
        "--group-by",
        type=click.Choice(("session", "repository")),
        default="session",
        show_default=True,
        help="What stays together besides sessions that ask nearly the same.",
    ),
    click.option(
        "--seed", type=int, default=0, show_default=True, help="Of the split, the order, the copies."
    ),
    click.option(
        "--weights",
        type=click.Choice(("awr", "tiers", "filter", "none")),
        help="awr: exp(advantage / beta), default of chatml and completions. filter: better than expected.",
    ),
    click.option(
        "--beta", type=_POSITIVE, default=1.0, show_default=True, help="How evenly awr weighs: high is even."
    ),
    click.option(
        "--w-max",
        type=_POSITIVE,
        default=4.0,
        show_default=True,
        help="Largest weight, before the mean is 1.",
    ),
    click.option("--copies", is_flag=True, help="Rows as often as they weigh, for trainers without weights."),
    click.option(
        "--batch", type=click.IntRange(1), default=1, help="Fill copies up to whole batches of so many rows."
    ),
    click.option(
        "--mask/--no-mask",
        default=True,
        help="Failed steps and corrected turns are history, never a target (default).",
    ),
    click.option("--model", metavar="NAME|FOLDER", help="Count tokens as this model does."),
    click.option(
        "--max-tokens",
        type=click.IntRange(0),
        default=0,
        help="Cut history so that a row has at most so many tokens of --model.",
    ),
    click.option(
        "--synthetic",
        type=click.FloatRange(0, 1, max_open=True),
        default=0.0,
        metavar="SHARE",
        help="Share of made-up questions (`karl synth-qa`) in train; default none.",
    ),
    click.option("--record/--no-record", default=True, help="Tell the ledger of the export (default)."),
    click.option("--dry-run", is_flag=True, help="Say what it would be; write nothing."),
)
_ARCHIVE = (
    click.option("--whole-sessions", is_flag=True, help="Archive: one chat a session instead of one a turn."),
    click.option("--documents", is_flag=True, help="Archive: a folder of ATIF files, one a session."),
    click.option("--with-held-out", is_flag=True, help="Archive: held-out sessions too."),
)

Command = Callable[..., Any]


def _all(options: tuple[Callable[[Command], Command], ...]) -> Callable[[Command], Command]:
    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


filter_options, data_set_options, archive_options = _all(_FILTERS), _all(_DATA_SET), _all(_ARCHIVE)

_NAMES_DATA_SET = (
    "detail", "from_seq", "to_seq", "reward_version", "split", "valid", "group_by", "seed", "weights", "beta",
    "w_max", "copies", "batch", "mask", "model", "max_tokens", "synthetic", "record", "dry_run",
)  # fmt: skip
_NAMES_ARCHIVE = ("whole_sessions", "documents", "with_held_out")


#: What a format of a data set has no use for.
_NO_WEIGHTS = ("mask", "weights", "beta", "w_max", "copies", "batch", "synthetic", "subagents")
_USELESS = {
    **dict.fromkeys(("dpo", "kto"), _NO_WEIGHTS),
    **dict.fromkeys(("atif", "jsonl"), (*_NO_WEIGHTS, "detail", "model", "max_tokens")),
}


def useless(ctx: click.Context, form: str) -> list[str]:
    """Give the options that were said, and that mean nothing for a data set of this format."""
    return _said(ctx, _USELESS.get(form, ()))


def data_set_only(ctx: click.Context) -> list[str]:
    """Give the options that were said, and that only data sets have."""
    return _said(ctx, _NAMES_DATA_SET)


def archive_only(ctx: click.Context) -> list[str]:
    """Give the options that were said, and that only archives have."""
    return _said(ctx, _NAMES_ARCHIVE)


def _said(ctx: click.Context, names: tuple[str, ...]) -> list[str]:
    by_user = click.core.ParameterSource.COMMANDLINE
    return [f"--{name.replace('_', '-')}" for name in names if ctx.get_parameter_source(name) is by_user]
