"""`karl export`: data sets to learn from, and what was recorded for other tools and for archives."""

from __future__ import annotations

import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from karl.cli.export_options import archive_options, data_set_options, filter_options
from karl.cli.main import pass_settings
from karl.cli.render import measuring
from karl.settings import Settings

if TYPE_CHECKING:
    from karl.export.budget import Budget
    from karl.export.dataset import Made
    from karl.export.options import DataSetOptions
    from karl.export.selection import Choice
    from karl.views.queries import Views

_FORMATS = ("chatml", "completions", "sharegpt", "dpo", "kto", "atif", "parquet", "jsonl")
#: Formats that an archive can have: documents as they are, not rows.
_ARCHIVES = ("jsonl", "chatml", "sharegpt", "atif")
#: What ends in one of these, and `-`, is one file: an archive.
_SUFFIXES = (".jsonl", ".json", ".parquet")
#: Words of a person's that a manifest has as they were given.
_IN_MANIFEST = ("agent", "project", "node", "fleet", "search")


@click.command()
@click.option("--format", "form", required=True, type=click.Choice(_FORMATS), help="What to write.")
@click.option("--output", required=True, help="Folder of the data set; a file (*.jsonl), or - for stdout.")
@click.option("--force", is_flag=True, help="Replace what is there.")
@filter_options
@data_set_options
@archive_options
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.pass_context
@pass_settings
def export(
    settings: Settings,
    ctx: click.Context,
    *,
    form: Any,
    output: str,
    force: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Write a data set to learn from, or an archive of what was recorded.

    \b
    chatml       a row a step: messages with tool_calls, tools; the last message is learned
    completions  the same as prompt and completion
    sharegpt     the same as conversations of human, gpt, function_call, observation
    dpo, kto     what was accepted and what was not, where both answer the same messages
    parquet      rows with flat columns, for analysis
    jsonl        schema v2, a trajectory a line, with reward, signals and advantage
    atif         sessions in ATIF v1.8, a session a line

    A folder becomes a data set: train and valid, with a manifest that says what they are made of. Sessions
    are parted before anything is copied: those that ask nearly the same are on one side, and held-out ones
    are on none. What was written is read back: a secret, or the same thing on both sides, and nothing is
    kept. The same ledger and options give the same bytes, and the ledger gets a record of the export.

    A file (*.jsonl, *.json, *.parquet) or - becomes an archive: all that fits, a turn or a session a line
    (of parquet a step). --documents writes ATIF as a folder of files, one a session.

    Secrets are taken out once more, by today's rules. What is there already is replaced only with --force.
    docs/export.md shows each format.

    Exit code 1 when nothing fits, what was made is not clean, the ledger could not be told, or a record was
    damaged; what could be read is written all the same.

    Example: karl export --format chatml --detail brief --model smollm2 --max-tokens 512 --output data
    """  # noqa: D301 - \b is click's sign for lines that are kept as they are
    from karl.cli.export_options import archive_only, data_set_only, useless  # noqa: PLC0415
    from karl.process import leaving_in_order  # noqa: PLC0415

    _check(given)
    is_set = not (given["documents"] or _is_file(output))
    wrong = (archive_only if is_set else data_set_only)(ctx)
    if wrong and not (form == "parquet" and set(wrong) <= {"--detail"}):
        kind = "an archive (a file, - or --documents)" if is_set else "a data set (name a folder)"
        raise click.UsageError(f"{', '.join(wrong)} is for {kind}")
    if is_set and (wrong := useless(ctx, form)):
        raise click.UsageError(f"{', '.join(wrong)} means nothing for {form}")
    with leaving_in_order():
        if is_set:
            _data_set(settings, form, _path(output), given, force=force, as_json=as_json)
        elif form == "parquet" and output != "-":
            _table(settings, _path(output), given, force=force, as_json=as_json)
        else:
            _archive(settings, form, output, given, force=force, as_json=as_json)


def _is_file(output: str) -> bool:
    """Say whether one file is asked for: by its name, or because it is there and no folder."""
    path = Path(output)
    return output == "-" or path.suffix in _SUFFIXES or (path.exists() and not path.is_dir())


def _check(given: dict[str, Any]) -> None:
    low, high = given["min_reward"], given["max_reward"]
    if low is not None and high is not None and low > high:
        raise click.UsageError(f"--min-reward {low:g} is above --max-reward {high:g}: nothing could fit")
    if given["max_tokens"] and not given["model"]:
        raise click.UsageError("--max-tokens needs --model, whose tokens are counted")
    if given["batch"] > 1 and not given["copies"]:
        raise click.UsageError(
            "--batch fills up copies (--copies); a trainer with weights makes its own batches"
        )


def _data_set(
    settings: Settings, form: str, output: Path, given: dict[str, Any], *, force: bool, as_json: bool
) -> None:
    """Make a data set, tell the ledger of it, and say what it is."""
    from karl.cli.export_shown import show_made  # noqa: PLC0415
    from karl.cli.people import without_secrets  # noqa: PLC0415
    from karl.export.dataset import make  # noqa: PLC0415

    for name in _IN_MANIFEST:
        if given[name] and without_secrets(given[name]) != given[name]:
            raise click.UsageError(f"--{name} looks like a secret, and would be in the manifest for good")
    budget = _budget(settings, given)
    how = _options(settings, form, given, budget)
    with measuring("exporting") as show:
        made = make(
            settings.views,
            settings.ledger,
            how,
            None if given["dry_run"] else output,
            lambda what, done, of: show(done, of, what) if show else None,
            budget=budget,
            force=force,
        )
    recorded = _recorded(settings, made, given)
    show_made(made, recorded=recorded, as_json=as_json)
    sys.exit(1 if made.damaged or recorded.startswith("no:") else 0)


def _recorded(settings: Settings, made: Made, given: dict[str, Any]) -> str:
    """Tell the ledger of an export; says whether it knows of it now, and where not, why."""
    from karl.cli.moments import now_ms  # noqa: PLC0415
    from karl.cli.people import user_at  # noqa: PLC0415
    from karl.errors import LineDown, Refused  # noqa: PLC0415
    from workers.exports import record  # noqa: PLC0415 - Redis loads with the command only
    from workers.line import on_line  # noqa: PLC0415

    if given["dry_run"] or not given["record"]:
        return ""
    try:
        with on_line(settings, "karl-export") as redis:
            record(redis, settings, made.manifest, person=user_at(settings), now_ms=now_ms(), wait=time.sleep)
    except (LineDown, Refused) as error:
        return f"no: {error}"
    return "yes"


def _budget(settings: Settings, given: dict[str, Any]) -> Budget | None:
    if not given["model"]:
        return None
    from karl.export.budget import Budget, Counter, folder_of  # noqa: PLC0415

    return Budget(Counter(folder_of(settings.models, given["model"])), given["max_tokens"])


def _options(settings: Settings, form: str, given: dict[str, Any], budget: Budget | None) -> DataSetOptions:
    from karl.export.options import ROWS, DataSetOptions  # noqa: PLC0415
    from karl.learning.split import Split  # noqa: PLC0415
    from karl.views.queries import Views  # noqa: PLC0415

    with Views(settings.views) as views:
        choice = _choice(views, given)
    weights = given["weights"] or ("awr" if form in ("chatml", "completions") else "none")
    if weights != "none" and form not in ROWS:
        raise click.UsageError(
            f"--weights is for rows that are learned from one by one, which {form} has none of"
        )
    name = Path(given["model"]).name if given["model"] else ""
    return DataSetOptions(
        format=form,  # type: ignore[arg-type] # click has checked it
        choice=choice,
        reward_version=given["reward_version"] or settings.reward_version,
        from_seq=given["from_seq"],
        to_seq=given["to_seq"],
        detail=given["detail"] or ("brief" if form == "completions" else "full"),
        subagents=given["subagents"],
        mask=given["mask"],
        split=Split(given["split"], given["seed"], given["valid"], given["group_by"]),
        weights=weights,  # type: ignore[arg-type] # so is this
        beta=given["beta"],
        w_max=given["w_max"],
        copies=given["copies"],
        batch=given["batch"],
        max_tokens=given["max_tokens"],
        model=name,
        digest=budget.counter.digest if budget else "",
        synthetic=given["synthetic"],
    )


def _choice(views: Views, given: dict[str, Any]) -> Choice:
    from karl.export.selection import Choice  # noqa: PLC0415
    from karl.views.queries import Filter  # noqa: PLC0415

    fields = {name: given[name] for name in Filter._fields if name in given and name != "session"}
    sessions = tuple(sorted({_session(views, name) for name in given["ids"]}))
    return Choice(Filter(**fields), sessions, given["human_only"], given["completed"], given["limit"])


def _archive(
    settings: Settings, form: str, output: str, given: dict[str, Any], *, force: bool, as_json: bool
) -> None:
    from karl.cli.export_shown import show_report  # noqa: PLC0415
    from karl.export.archive import Wanted  # noqa: PLC0415
    from karl.export.archive import export as run  # noqa: PLC0415
    from karl.views.queries import Views  # noqa: PLC0415

    if form not in _ARCHIVES:
        raise click.UsageError(f"{form} is a data set, with train and valid: name a folder as --output")
    if form != "atif" and (given["documents"] or Path(output).suffix == ".json"):
        raise click.UsageError("documents, a file a session, are for ATIF")
    if form not in ("chatml", "sharegpt") and (given["whole_sessions"] or given["subagents"]):
        raise click.UsageError("--whole-sessions and --subagents are for chats: chatml and sharegpt")
    wanted = Wanted(
        form,  # type: ignore[arg-type] # it was checked
        None if output == "-" else _path(output),
        force,
        given["whole_sessions"],
        given["subagents"],
        given["with_held_out"],
        given["documents"],
    )
    with Views(settings.views) as views:
        choice = _choice(views, given)
        which = choice.which
        number = sum(views.fitting(which._replace(session=name)) for name in choice.sessions or (None,))
    stream = sys.stdout.buffer
    total = min(number, choice.limit or number)
    with measuring("exporting") as show:
        progress = partial(_show, show, total)
        report = run(settings.views, settings.ledger, choice, wanted, stream=stream, progress=progress)
        stream.flush()  # here, where it is known what to say when that fails
    show_report(report, as_json=as_json)
    sys.exit(0 if report.is_sound else 1)


def _table(settings: Settings, output: Path, given: dict[str, Any], *, force: bool, as_json: bool) -> None:
    """Write all steps into one Parquet file."""
    from karl.cli.export_shown import show_report  # noqa: PLC0415
    from karl.export.archive_table import archived, export_table  # noqa: PLC0415

    how = archived(_options(settings, "parquet", given, None))
    with measuring("exporting") as show:
        report = export_table(
            settings.views,
            settings.ledger,
            how,
            output,
            lambda session, number: show(number, 0, session) if show else None,
            force=force,
            with_held_out=given["with_held_out"],
        )
    show_report(report, as_json=as_json)
    sys.exit(0 if report.is_sound else 1)


def _show(show: Any, total: int, session: str, number: int) -> None:
    if show:
        show(number, total, session)


def _path(output: str) -> Path:
    return Path(output).expanduser().absolute()


def _session(views: Views, name: str) -> str:
    """Give the whole id of a session, also by the id of one of its trajectories. Raises NotFound."""
    found = views.find(name)
    return found.id if found.kind == "session" else views.trajectory(found.id).session
