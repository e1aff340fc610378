"""Adapters: what each is made of, which one is in use, and decisions about that, one at a time.

    training, evaluation, files -> checks -> claim -> still the decision it was made upon? -> record -> link

Invariants:
- Which adapter is in use is a record; the link `current` beside the adapters follows it on the machine of the
  command.
- A decision counts for the one that it was made upon alone: where another came between, it is refused.
- A promotion rests on figures that are computed again from the runs, never on those that were recorded.
- The newest evaluation of an adapter counts: nobody picks the one that says what is wanted.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from karl.errors import KarlError, NotFound, Refused
from karl.learning import claims
from karl.learning.claims import ITS_FILES, JUDGED
from karl.learning.proof import Check, Known
from karl.schema.event import event_id
from karl.schema.learning import AdapterAction, AdapterBody, TrainingBody
from karl.stream import keys
from karl.views.lineage import DecisionRow, EvaluationRow, Lineage, TrainingRow
from workers.adapter_files import folder_of
from workers.deciding import claimed, still_ours
from workers.proofs import Proofs, files_here
from workers.records import LEARNING, Outgoing, send, settled

if TYPE_CHECKING:
    from karl.settings import Settings
    from workers.doors import Doors

#: The link beside the adapters that leads to the one in use.
CURRENT = "current"
_ID, _SHOWN = 12, 5


class Said(NamedTuple):
    """What somebody decides."""

    action: AdapterAction
    adapter: str
    person: str
    reason: str


class Listed(msgspec.Struct, frozen=True):
    """An adapter: its newest training and evaluation as they were recorded; `here` where its folder is."""

    training: TrainingRow
    evaluation: EvaluationRow | None
    in_use: bool
    here: bool


class Examined(msgspec.Struct, frozen=True):
    """All that an adapter is made of. `known` is what its newest evaluation rests on, if there is one.

    `checks` are those of a promotion, its files but for being fetched. `erased` counts sessions of its export
    that the ledger does not have any more, null where the export's record can not be read. `decisions` are
    those about it, the newest first.
    """

    training: TrainingRow
    body: TrainingBody
    evaluation: EvaluationRow | None
    known: Known
    checks: list[Check]
    erased: int | None
    sessions: int | None
    in_use: bool
    decisions: list[DecisionRow]


class Decided(msgspec.Struct, frozen=True):
    """What was done: `body` is the decision, null where it was so already. `was` was in use before.

    `checks` are those of a promotion; `link` is where the link of this machine leads now, null for nowhere.
    """

    adapter: str
    was: str
    body: AdapterBody | None
    checks: list[Check]
    link: str | None


def listed(settings: Settings, views: Lineage) -> list[Listed]:
    """List the adapters that came of trainings, the newest first, each once."""
    current = views.current()
    found: dict[str, Listed] = {}
    for row in views.adapters():
        if row.adapter not in found:
            evaluation = next(iter(views.evaluations_of(row.adapter, arm=JUDGED)), None)
            here = (settings.adapters / row.adapter).is_dir()
            found[row.adapter] = Listed(row, evaluation, row.adapter == current, here)
    return list(found.values())


def named(views: Lineage, name: str) -> TrainingRow:
    """Find an adapter by its id, the beginning of it, or its training's label or id; or `current`.

    Raises NotFound, Refused where no adapter came of that training, and KarlError where several fit.
    """
    if name == CURRENT and not views.current():
        raise NotFound("no adapter is in use")
    row = views.training(views.current() if name == CURRENT else name)
    if not row.adapter:
        raise Refused(f"no adapter came of the training {row.id[:_ID]}: it ended {row.ended}")
    return row


def examine(settings: Settings, views: Lineage, name: str) -> Examined:
    """Look at an adapter, by a name that `named` finds. Raises what that does."""
    row = named(views, name)
    proofs = Proofs(settings, views)
    body = proofs.training(row)
    judged = views.evaluations_of(row.adapter, arm=JUDGED)
    evaluation = judged[0] if judged else None
    known = proofs.of_evaluation(evaluation.id) if evaluation else Known()
    sessions = proofs.sessions_of(body.export)
    erased = len(sessions - views.marks()) if sessions is not None else None
    checks = [_evaluated(row, judged)]
    checks += (
        claims.of_lift(known) if evaluation else [claims.of_files(ITS_FILES, files_here(settings, body))]
    )
    return Examined(
        training=row,
        body=body,
        evaluation=evaluation,
        known=known,
        checks=[*checks, _erased(erased)],
        erased=erased,
        sessions=len(sessions) if sessions is not None else None,
        in_use=views.current() == row.adapter,
        decisions=[one for one in views.decisions(-1) if one.adapter == row.adapter],
    )


def promote(doors: Doors, name: str, *, person: str, reason: str = "", force: bool = False) -> Decided:
    """Put an adapter to use when it has earned it, or with `force` whatever it has earned.

    Raises Refused saying what is missing, also where its files can not be had, whatever is forced; NotFound
    and LineDown.
    """
    settings = doors.settings
    settled(doors.redis, settings, doors.wait)
    with Lineage(settings.views) as views:
        upon, was = _upon(views), views.current()
        files = _fetched(doors, Proofs(settings, views).training(named(views, name)))
        found = examine(settings, views, name)
    adapter = found.training.adapter
    checks = [*found.checks, files]
    missing = [check for check in checks if check.result in {"no", "broken", "unknown"}]
    if files.result != "yes":
        raise Refused(_why_not(adapter, [files]))
    if missing and not force:
        raise Refused(_why_not(adapter, missing))
    if was == adapter:
        return Decided(adapter, was, None, checks, _link(settings, adapter))
    said = Said("promote", adapter, person, reason)
    evaluation = found.evaluation.id if found.evaluation else ""
    body = _body(doors, upon, said, evaluation=evaluation, forced=bool(missing))
    _decide(doors, upon, body)
    return Decided(adapter, was, body, checks, _link(settings, adapter))


def rollback(doors: Doors, name: str | None, *, person: str, reason: str) -> Decided:
    """Put to use what was in use before, or a named one that once was; nothing, where there was none.

    Raises Refused where it never was in use, or its files can not be had; NotFound and LineDown.
    """
    settings = doors.settings
    settled(doors.redis, settings, doors.wait)
    with Lineage(settings.views) as views:
        decisions = views.decisions(-1)
        upon, was = _upon(views), views.current()
        adapter = before(decisions) if name is None else named(views, name).adapter
        body = Proofs(settings, views).training(views.training(adapter)) if adapter else None
    if not was and not adapter:
        raise Refused("no adapter is in use: there is nothing to take back")
    if adapter == was:
        raise Refused(f"adapter {was[:_ID]} is in use already")
    if adapter and all(one.adapter != adapter for one in decisions):
        raise Refused(f"adapter {adapter[:_ID]} was never in use; `karl adapters promote` puts it to use")
    if body is not None and (files := _fetched(doors, body)).result != "yes":
        raise Refused(_why_not(adapter, [files]))
    decision = _body(doors, upon, Said("rollback", adapter, person, reason))
    _decide(doors, upon, decision)
    return Decided(adapter, was, decision, [], _link(settings, adapter))


def before(decisions: Sequence[DecisionRow]) -> str:
    """Give the adapter that was in use before the one that is, of decisions newest first; empty for none.

    A promotion comes on top of what was in use; going back takes the top away.
    """
    stack: list[str] = []
    for one in reversed(decisions):
        if one.action == "promote":
            stack.append(one.adapter)
        elif one.adapter in stack:
            del stack[stack.index(one.adapter) + 1 :]
        else:
            stack = [one.adapter] if one.adapter else []
    return stack[-2] if len(stack) > 1 else ""


def linked(settings: Settings) -> str | None:
    """Say which adapter the link of this machine leads to; null where there is none. Raises OSError."""
    try:
        return (settings.adapters / CURRENT).readlink().name
    except FileNotFoundError:
        return None


def whole_folder(settings: Settings, body: TrainingBody) -> Path:
    """Give the folder of an adapter, fetched where it is not here. Raises NotFound, Unreadable, LineDown."""
    from workers.line import on_line  # noqa: PLC0415 - Redis loads where it is asked

    folder = settings.adapters / body.adapter
    found = files_here(settings, body)
    if found.here and not found.wrong:
        return folder
    with on_line(settings, "karl-adapters") as redis:
        return folder_of(settings, redis, body.adapter, body.parcel)


def _upon(views: Lineage) -> str:
    rows = views.decisions(1)
    return rows[0].id if rows else ""


def _evaluated(row: TrainingRow, judged: Sequence[EvaluationRow]) -> Check:
    if not judged:
        says = f"no evaluation judged it; `karl sft-eval {row.adapter[:_ID]}` does"
        return Check("evaluated", "no", says)
    says = f"by {judged[0].id[:_ID]}, the newest that judged it"
    if earlier := [one.verdict for one in judged[1:]]:
        # Whoever asks until the answer is yes gets one: how often it was asked stands beside it.
        says += f"; {len(earlier)} before it said {', '.join(earlier[:_SHOWN])}"
    return Check("evaluated", "yes", says)


def _erased(erased: int | None) -> Check:
    if erased is None:
        return Check("erased", "unknown", "which sessions it was trained with is not known")
    if erased:
        says = f"{erased:,} of the sessions that it was trained with were erased since; train one without"
        return Check("erased", "no", says)
    return Check("erased", "yes", "the ledger still has all sessions that it was trained with")


def _fetched(doors: Doors, body: TrainingBody) -> Check:
    """Have an adapter's files on this machine."""
    try:
        folder = folder_of(doors.settings, doors.redis, body.adapter, body.parcel, doors.progress)
    except KarlError as error:
        return Check("files", "no", str(error))
    if wrong := files_here(doors.settings, body).wrong:
        return Check("files", "broken", wrong)
    return Check("files", "yes", f"whole, in {folder}")


def _why_not(adapter: str, missing: Sequence[Check]) -> str:
    lines = "".join(f"\n  {check.name}: {check.says}" for check in missing)
    return f"adapter {adapter[:_ID]} is not put to use:{lines}"


def _body(doors: Doors, upon: str, said: Said, *, evaluation: str = "", forced: bool = False) -> AdapterBody:
    now_ms, node = doors.now_ms(), doors.settings.node
    return AdapterBody(
        id=event_id("adapter", upon, said.action, said.adapter, said.person, node, str(now_ms)),
        **said._asdict(),
        node=node,
        time_ms=now_ms,
        evaluation=evaluation,
        forced=forced,
    )


def _decide(doors: Doors, upon: str, body: AdapterBody) -> None:
    """Make a decision that was made upon another, by its id, count."""
    with claimed(doors.redis, keys.ADAPTERS_CLAIM, body.id, "which adapter is in use"):
        settled(doors.redis, doors.settings, doors.wait)
        with Lineage(doors.settings.views) as views:
            now, current = _upon(views), views.current()
        if now != upon:
            raise Refused(
                f"another decision came meanwhile: {current[:_ID] or 'no adapter'} is in use now; look at it "
                "and say it again"
            )
        still_ours(doors.redis, keys.ADAPTERS_CLAIM, body.id)
        send(doors.redis, [Outgoing("adapter", LEARNING, body)], doors.wait)


def _link(settings: Settings, adapter: str) -> str | None:
    """Have the link of this machine lead to an adapter, or away, in one step."""
    link = settings.adapters / CURRENT
    if not adapter:
        link.unlink(missing_ok=True)
        return None
    begun = settings.adapters / f".{CURRENT}.{secrets.token_hex(4)}"
    try:
        begun.symlink_to(adapter)
        begun.replace(link)
    finally:
        begun.unlink(missing_ok=True)
    return adapter
