"""What the reading commands print: views and records as tables, and as documented JSON.

Whatever an agent said passes `plain` or `one_line` on its way to the terminal.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import click
import msgspec

from karl.cli.moments import age, moment
from karl.cli.render import one_line, plain, print_table
from karl.cli.state import SpoolState, State
from karl.ledger import verify
from karl.replay.story import story
from karl.schema.trajectory import Usage
from karl.stream.facts import Facts
from karl.views import rebuild
from karl.views.detail import Detail
from karl.views.overview import LedgerState
from karl.views.queries import Counts, SessionRow, TrajectoryRow

#: Findings that a person is shown; --json has all that the check kept.
FINDINGS_SHOWN = 40

#: Characters of a session's id that a list shows, if they tell its rows apart.
ID_SHOWN = 13


def state_json(now: State) -> dict[str, Any]:
    """Give the document of `karl status --json`."""
    seen, stream = now.overview, now.stream
    document: dict[str, Any] = msgspec.to_builtins(seen.counts)
    if not _is_counted(now):
        document = dict.fromkeys(document)
    document["dead_letters"] = stream.dead_letters if stream else None
    document["ledger"] = msgspec.to_builtins(seen.ledger)
    document["views"] = msgspec.to_builtins(seen.views)
    document["stream"] = {
        "reachable": stream is not None,
        "entries": stream.entries if stream else None,
        "pending": stream.pending if stream else None,
        "lag": stream.lag if stream else None,
        "records_waiting": stream.records_waiting if stream else None,
    }
    document["spool"] = msgspec.to_builtins(now.spool)
    document["workers"] = stream.workers if stream else None
    document["leases"] = {
        "ledger": stream.ledger_lease if stream else None,
        "partitions": stream.partitions_held if stream else None,
    }
    document["nodes"] = stream.nodes if stream else None
    return document


def print_state(now: State) -> None:
    """Print the state for a person."""
    for name, text in _state_lines(now):
        click.echo(f"{name:<10} {plain(text)}")


def _state_lines(now: State) -> Iterator[tuple[str, str]]:
    seen, stream, spool = now.overview, now.stream, now.spool
    yield "recorded", _recorded(seen.counts) if _is_counted(now) else "-"
    yield "ledger", _ledger(seen.ledger) if seen.ledger else "-"
    yield "views", f"{seen.views.behind} lines behind the ledger" if seen.views else "-"
    yield "stream", _stream(stream) if stream else "not reachable"
    yield "spool", _spool(spool) if spool else "-"
    if stream:
        writer = f"{stream.ledger_lease or 'nobody'} writes the ledger"
        yield "workers", f"{stream.workers} on {stream.partitions_held} partitions; {writer}"
        yield "dead", f"{stream.dead_letters} dead letters"
    if seen.counts.unreadable:
        yield "odd", f"{seen.counts.unreadable} records that this version does not understand"
    if seen.counts.orphans:
        yield "odd", f"{seen.counts.orphans} annotations or scores of trajectories that are not there"


def _is_counted(now: State) -> bool:
    """Say whether the counts are those of the ledger: without views of it, nobody counted."""
    return now.overview.views is not None or now.overview.ledger is None


def _recorded(counts: Counts) -> str:
    what = f"{counts.trajectories} trajectories in {counts.sessions} sessions"
    return f"{what}; {counts.events} events, {counts.tool_calls} tool calls, {counts.annotations} annotations"


def _ledger(ledger: LedgerState) -> str:
    where = f"line {ledger.seq} in {ledger.segment}, head {ledger.head[:16]}…"
    return f"{ledger.records} records, {_size(ledger.bytes)}, term {ledger.term}, {where}"


def _stream(stream: Facts) -> str:
    lag = "an unknown number" if stream.lag is None else stream.lag
    of_them = f"{lag} of them not read yet, {stream.pending} in open turns"
    return f"{stream.entries} events in it, {of_them}; {stream.records_waiting} records wait for the ledger"


def _spool(spool: SpoolState) -> str:
    oldest = f", the oldest for {age(spool.oldest_age_s)}" if spool.files else ""
    off = ", DISABLED (`karl enable`)" if spool.off else ""
    full = ", FULL: the hook takes no more events" if spool.full else ""
    return f"{spool.files} events wait, {_size(spool.bytes)}{oldest}{off}{full}"


def print_sessions(rows: Sequence[SessionRow], now_ms: int) -> None:
    """Print the table of `karl sessions`; tokens have a column where anybody counted them."""
    length = _telling_length([row.session for row in rows])
    columns: dict[str, list[Any]] = {
        "session": [one_line(row.session[:length], length) for row in rows],
        "agent": [one_line(row.agent, 20) for row in rows],
        "project": [one_line(row.project or "-", 24) for row in rows],
        "node": [one_line(row.node, 16) for row in rows],
        "turns": [row.turns for row in rows],
        "calls": [row.calls for row in rows],
        "failed": [row.failures for row in rows],
    }
    if any(row.tokens.messages for row in rows):
        columns["tokens"] = [_thousands(row.tokens) for row in rows]
    columns["reward"] = [row.reward for row in rows]
    columns["active"] = [age((now_ms - row.last_ms) / 1000) for row in rows]
    columns["prompt"] = [one_line(row.first_prompt or "", 48) for row in rows]
    rows_shown = list(zip(*columns.values(), strict=True))
    print_table(tuple(columns), rows_shown, whole=("session",), short=("agent", "project", "node", "prompt"))


def _thousands(tokens: Usage) -> str:
    """Give a number of tokens, as `12.3 k`; `-` when nobody counted them."""
    if not tokens.messages:
        return "-"
    for unit, size in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if tokens.total >= size:
            return f"{tokens.total / size:.1f} {unit}"
    return str(tokens.total)


def _telling_length(ids: Sequence[str]) -> int:
    """Say how much of these ids tells them apart: it can be given to `karl show` as it stands."""
    length = ID_SHOWN
    while len({text[:length] for text in ids}) < len(set(ids)):
        length += 1
    return length


def print_session(row: SessionRow, turns: Sequence[TrajectoryRow]) -> None:
    """Print one session with its turns."""
    click.echo(f"session {plain(row.session)}")
    click.echo(plain(f"  {agent(row)} on {row.node}, fleet {row.fleet}, project {row.project or '-'}"))
    state = "ended" if row.ended else "not ended"
    click.echo(f"  {moment(row.started_ms)} to {moment(row.last_ms)}, {state}")
    reward = "-" if row.reward is None else f"{row.reward:.4f}"
    click.echo(
        f"  {row.turns} turns, {row.events} events, {row.calls} calls ({row.failures} failed), "
        f"mean reward {reward}, {row.corrections} corrected\n"
    )
    print_table(
        ("turn", "trajectory", "calls", "failed", "reward", "closed by", "said later", "prompt"),
        [
            (
                turn.turn,
                turn.id,
                turn.calls,
                turn.failures,
                turn.reward,
                turn.closed_by,
                flags({name: value for name, value in turn.flags.items() if name != "session_continued"}),
                one_line(turn.prompt or "", 32),
            )
            for turn in turns
        ],
        whole=("trajectory",),
        short=("prompt",),
    )


def detail_json(whole: Detail) -> dict[str, Any]:
    """Give the document of `karl show --json` for a trajectory."""
    return {
        "record": whole.body,
        "place": whole.row.place._asdict(),
        "score": whole.score,
        "advantage": whole.row.advantage,
        "expected": whole.row.expected,
        "flags": whole.row.flags,
        "later": [{**msgspec.structs.asdict(item), "place": item.place._asdict()} for item in whole.later],
        "diffs": [
            {"call": deed.number, "files": deed.diffs} for deed in story(whole.body).deeds if deed.diffs
        ],
    }


def print_verified(report: verify.Report) -> None:
    """Print what a check of the ledger found."""
    segments = f"{report.segments} segment{'s' * (report.segments != 1)}"
    click.echo(
        f"{report.records} records in {segments}, {report.bytes} bytes: "
        f"{report.events} events, {report.trajectories} trajectories\n"
        f"head {report.head} (line {report.seq})"
    )
    for item in report.findings[:FINDINGS_SHOWN]:
        where = f"{item.segment} at byte {item.offset}, {item.bytes} bytes"
        click.echo(plain(f"{item.severity}: {where}: {item.reason}"))
    if report.damages or report.warnings:
        click.echo(f"{report.damages} damages, {report.warnings} warnings")
    else:
        click.echo("sound")


def print_rebuilt(report: rebuild.Report) -> None:
    """Print what a rebuild took in."""
    click.echo(f"{report.records} records, up to line {report.seq}")
    for complaint in report.complaints:
        click.echo(plain(complaint), err=True)


def print_compared(found: rebuild.Comparison) -> None:
    """Print whether the views are what a rebuild gives."""
    if found.equal:
        click.echo(f"equal, up to line {found.seq}")
    for table, count in found.differing.items():
        click.echo(f"different: {count} rows of {table}; `karl rebuild` makes them anew")


def agent(row: SessionRow | TrajectoryRow) -> str:
    version = f" {row.agent_version}" if row.agent_version else ""
    return f"{row.agent}{version}" + (f" with {row.model}" if row.model else "")


def flags(known: dict[str, bool | None], classes: Sequence[str] = ()) -> str:
    """Name what is known of a turn's outcome; what nobody said is left out. `classes` are a correction's."""
    words = {
        "correction_detected": ("corrected", "not corrected"),
        "redo_detected": ("redone", "not redone"),
        "build_success": ("build passed", "build failed"),
        "session_continued": ("went on", "did not go on"),
        "committed": ("committed", "not committed"),
        "survived": ("survived", "did not survive"),
        "reverted": ("reverted", "not reverted"),
        "ci_passed": ("CI passed", "CI failed"),
        "label": ("judged good", "judged bad"),
    }
    said = {name: words[name][not value] for name, value in known.items() if value is not None}
    if classes and known.get("correction_detected"):
        said["correction_detected"] += f" ({', '.join(one_line(each, 40) for each in classes)})"
    return ", ".join(said.values())


def _size(count: int) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} bytes"
