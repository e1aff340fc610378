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
from karl.schema.trajectory import ToolCall
from karl.stream.facts import Facts
from karl.views import rebuild
from karl.views.detail import Detail, call_tree
from karl.views.overview import LedgerState
from karl.views.queries import Counts, SessionRow, TrajectoryRow

SESSION_COLUMNS = (
    "session", "agent", "project", "node", "turns", "calls", "reward", "active", "prompt",
)  # fmt: skip

#: Findings that a person is shown; --json has all that the check kept.
FINDINGS_SHOWN = 40

#: Characters of a session's id that a list shows, if they tell its rows apart.
ID_SHOWN = 13

#: What of a call's parameters says best what it did, best first.
_TELLING = (
    "file_path", "path", "notebook_path", "command", "pattern", "query", "url", "description", "skill",
    "prompt",
)  # fmt: skip


def state_json(now: State) -> dict[str, Any]:
    """Give the document of `karl status --json`."""
    seen, stream = now.overview, now.stream
    document: dict[str, Any] = msgspec.to_builtins(seen.counts)
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
    yield "recorded", _recorded(seen.counts)
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


def session_rows(rows: Sequence[SessionRow], now_ms: int) -> list[tuple[Any, ...]]:
    """Give the cells of `karl sessions`."""
    length = _telling_length([row.session for row in rows])
    return [
        (
            one_line(row.session[:length], length),
            row.agent,
            one_line(row.project or "-", 24),
            one_line(row.node, 16),
            row.turns,
            row.calls,
            row.reward,
            age((now_ms - row.last_ms) / 1000),
            one_line(row.first_prompt or "", 48),
        )
        for row in rows
    ]


def _telling_length(ids: Sequence[str]) -> int:
    """Say how much of these ids tells them apart: it can be given to `karl show` as it stands."""
    length = ID_SHOWN
    while len({text[:length] for text in ids}) < len(set(ids)):
        length += 1
    return length


def print_session(row: SessionRow, turns: Sequence[TrajectoryRow]) -> None:
    """Print one session with its turns."""
    click.echo(f"session {plain(row.session)}")
    click.echo(plain(f"  {_agent(row)} on {row.node}, fleet {row.fleet}, project {row.project or '-'}"))
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
                _flags({name: value for name, value in turn.flags.items() if name != "session_continued"}),
                one_line(turn.prompt or "", 32),
            )
            for turn in turns
        ],
    )


def print_trajectory(whole: Detail) -> None:
    """Print one trajectory: calls, signals, and where its record lies."""
    row, score = whole.row, whole.score
    click.echo(f"trajectory {plain(row.id)}, turn {row.turn} of session {plain(row.session)}")
    click.echo(plain(f"  {_agent(row)} on {row.node}, fleet {row.fleet}, project {row.project or '-'}"))
    took = "" if row.duration_s is None else f" after {row.duration_s:g} s"
    click.echo(f"  closed by {row.closed_by}{took} at {moment(row.time_ms)}; {row.events} events")
    if prompt := whole.body.trajectory.context.prompt_text:
        click.echo(f"  prompt: {one_line(prompt, 400)}")
    click.echo()
    print_table(
        ("#", "tool", "what", "status", "exit", "ms"), call_rows(whole.body.trajectory.trajectory.events)
    )
    click.echo()
    weights = score.weights
    print_table(("signal", "value", "weight"), [(n, v, weights.get(n)) for n, v in score.signals.items()])
    click.echo(
        f"\nreward {score.reward:.4f} (version {plain(score.version)}), advantage {row.advantage:+.4f} "
        f"in domain {plain(row.domain)}"
    )
    click.echo(f"said later: {_flags(row.flags) or 'nothing'}")
    for later in whole.later:
        by = f"by event {later.by} ({later.detector})" if later.by else "a new score"
        click.echo(plain(f"  {later.kind} in record {later.place.seq}: {by}, reward {later.reward:.4f}"))
    click.echo(f"record {row.place.seq} in {row.place.segment}, bytes {row.place.offset} to {row.place.end}")


def detail_json(whole: Detail) -> dict[str, Any]:
    """Give the document of `karl show --json` for a trajectory."""
    return {
        "record": whole.body,
        "place": whole.row.place._asdict(),
        "score": whole.score,
        "advantage": whole.row.advantage,
        "flags": whole.row.flags,
        "later": [{**msgspec.structs.asdict(item), "place": item.place._asdict()} for item in whole.later],
    }


def call_rows(calls: Sequence[ToolCall]) -> list[tuple[Any, ...]]:
    """Give the cells of a table of calls; a subagent's calls stand indented under the one that started it."""
    return [
        (
            number,
            "  " * min(depth, 8) + one_line(call.tool_name, 32),
            one_line(_what(call), 60),
            call.status,
            call.exit_code,
            call.duration_ms,
        )
        for depth, number, call in call_tree(calls)
    ]


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


def _what(call: ToolCall) -> str:
    for name in _TELLING:
        if value := call.key_params.get(name):
            return str(value)
    return next((str(value) for value in call.key_params.values() if value), "")


def _agent(row: SessionRow | TrajectoryRow) -> str:
    version = f" {row.agent_version}" if row.agent_version else ""
    return f"{row.agent}{version}" + (f" with {row.model}" if row.model else "")


def _flags(flags: dict[str, bool | None]) -> str:
    """Name what is known of a turn's outcome; what nobody said is left out."""
    words = {
        "correction_detected": ("corrected", "not corrected"),
        "redo_detected": ("redone", "not redone"),
        "build_success": ("build passed", "build failed"),
        "session_continued": ("went on", "did not go on"),
    }
    return ", ".join(words[name][not value] for name, value in flags.items() if value is not None)


def _size(count: int) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} bytes"
