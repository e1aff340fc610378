"""Every importer on files that somebody else wrote: broken, wild, oddly named, or no files at all."""

from __future__ import annotations

import json
import os
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis import Redis

from karl.errors import Refused, Unreadable
from karl.schema.event import encode_event
from karl.session.older import normalize_lines
from karl.settings import read_settings
from karl.stream import dead_letters
from producers.envelope import EnvelopeMaker, ImportNaming
from producers.gateway import import_gateway
from producers.hook_files import import_hooks, read_hook_file
from producers.importing import EACH_MAX
from producers.transcripts.atif import Atif
from producers.transcripts.claude import Claude
from producers.transcripts.codex import Codex
from producers.transcripts.copilot import Copilot
from producers.transcripts.importing import import_transcripts
from producers.transcripts.told import Broken, Told
from producers.values import VALUES_MAX
from tests.cli.running import real_karl
from tests.fuzz import seeds
from tests.fuzz.hostile import MIB, PAYLOADS, deep
from tests.fuzz.shapes import everything_left
from tests.fuzz.wild import lines_of, mutated, words_of

MAKER = EnvelopeMaker(node="n1")
FORMATS: dict[str, tuple[Callable[[], Any], list[dict[str, Any]], str, tuple[str, ...]]] = {
    "claude": (Claude, seeds.claude_lines(), "s1.jsonl", ("claude", "claude_agents", "claude_chain", "claude_line", "claude_message", "claude_parts")),
    "codex": (Codex, seeds.codex_lines(), "rollout-s1.jsonl", ("codex", "codex_calls", "codex_names", "codex_thread", "codex_tokens")),
    "copilot": (Copilot, seeds.copilot_lines(), "events.jsonl", ("copilot", "copilot_log")),
    "atif": (Atif, seeds.atif_lines(), "t.json", ("atif", "atif_steps")),
}  # fmt: skip


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=120, deadline=None)
@given(data=st.binary(min_size=10, max_size=400), changes=st.integers(1, 40))
def test_a_transcript_with_wild_places_is_read_or_refused_and_its_events_fold(
    name: str, data: bytes, changes: int
) -> None:
    fmt, sound, file, modules = FORMATS[name]
    words = words_of(*(f"producers.transcripts.{module}" for module in modules))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / file
        path.write_bytes(lines_of(mutated(sound, data, words, changes)))
        sessions: dict[str, list[bytes]] = {}
        try:
            for found in fmt().read(path):
                if isinstance(found, Broken):
                    assert found.reason
                    MAKER.dead(found.data)
                elif isinstance(found, Told):
                    event = MAKER.of(found.payload, name=f"{found.key}", agent=name, source="transcript")
                    sessions.setdefault(event.session, []).append(encode_event(event))
        except (Refused, Unreadable):
            return
    for events in sessions.values():
        everything_left(events)


@settings(max_examples=120, deadline=None)
@given(data=st.binary(min_size=10, max_size=400), changes=st.integers(1, 40))
def test_hook_payloads_with_wild_places_are_events_or_dead_letters_and_fold(
    data: bytes, changes: int
) -> None:
    words = words_of("karl.schema.event", "karl.session.turn", "karl.session.verdicts", "karl.session.edits")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.jsonl"
        path.write_bytes(lines_of(mutated(seeds.hook_lines(), data, words, changes)))
        naming, sessions = ImportNaming(), dict[str, list[bytes]]()
        for found in read_hook_file(path):
            try:
                event = MAKER.make(found.data, name=naming)
            except Unreadable:
                MAKER.dead(found.data)
            else:
                sessions.setdefault(event.session, []).append(encode_event(event))
    for events in sessions.values():
        everything_left(events)


@settings(max_examples=100, deadline=None)
@given(data=st.binary(min_size=10, max_size=400), changes=st.integers(1, 30))
def test_older_records_with_wild_places_are_read_or_unreadable(data: bytes, changes: int) -> None:
    words = words_of("karl.session.older", "karl.session.older_calls", "karl.schema.trajectory")
    sound = [json.loads(line) for line in seeds.older()]
    given_lines = lines_of(mutated(sound, data, words, changes)).splitlines(keepends=True)
    results = list(normalize_lines(given_lines))
    assert len(results) <= len(given_lines)


@pytest.mark.parametrize("what", PAYLOADS)
def test_a_hostile_line_between_sound_ones_spoils_neither(what: str, tmp_path: Path) -> None:
    sound = json.dumps({"session_id": "sound", "hook_event_name": "Stop"}).encode()
    path = tmp_path / "log.jsonl"
    path.write_bytes(sound + b"\n" + PAYLOADS[what] + b"\n" + sound + b"\n")
    found = [piece.data for piece in read_hook_file(path) if not isinstance(piece, Broken)]
    assert found.count(sound) == 2


# --- through the line, as a person runs it ---


def settings_of(folder: Path) -> Any:
    return read_settings({"KARL_DATA_DIR": str(folder / "karl"), "KARL_NODE": "n1"})


def gateway_folder(folder: Path) -> Path:
    (folder / "events-2026-05-01.jsonl").write_bytes(
        seeds.lines(seeds.gateway_lines()) + b"\n".join(PAYLOADS.values()) + b"\n" + deep(10_000) + b"\n"
    )
    return folder


def test_a_gateways_file_with_hostile_lines_gives_its_runs_and_dead_letters(
    redis: Redis, tmp_path: Path
) -> None:
    folder = tmp_path / "events"
    folder.mkdir()
    report = import_gateway(gateway_folder(folder), redis, settings_of(tmp_path))
    assert report.runs == 1
    assert report.completed == 1
    assert report.dead == sum(1 for _ in dead_letters.read(redis)) > 10


#: Names of files that are no text, or look like something else.
_NAMES = (
    b"\xff\xfe.jsonl",
    b"a\nb.jsonl",
    b"-rf.jsonl",
    b"\x1b]0;x\x07.jsonl",
    b"$(touch PWNED).jsonl",
    b"*.jsonl",
    "\u202e.jsonl".encode(),
)


def test_files_of_any_name_are_imported_with_what_is_broken_in_them(redis: Redis, tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    lines = seeds.lines(seeds.claude_lines())
    for number, name in enumerate(_NAMES):
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_bytes(
            lines.replace(b'"s1"', b'"s%d"' % number) + b"{broken\n"
        )
    report = import_transcripts(Claude(), [folder], redis, settings_of(tmp_path))
    assert (report.files, report.sessions, report.dead, report.refused) == (
        len(_NAMES),
        len(_NAMES),
        len(_NAMES),
        [],
    )
    again = import_transcripts(Claude(), [folder], redis, settings_of(tmp_path))
    assert (again.files, again.unchanged) == (0, len(_NAMES))
    hooks = import_hooks(sorted(folder.iterdir()), redis, settings_of(tmp_path))
    assert hooks.files == len(_NAMES)
    for letter in dead_letters.read(redis):
        letter.reason.encode()


@pytest.mark.parametrize("kind", ["pipe", "device", "socket"])
def test_what_is_no_file_is_refused_and_never_waited_for(kind: str, redis: Redis, tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    with socket.socket(socket.AF_UNIX) as listening:
        if kind == "pipe":
            os.mkfifo(path)
        elif kind == "device":
            path.symlink_to("/dev/zero")
        else:
            listening.bind(os.path.relpath(path))
        with pytest.raises(Refused, match="no regular file"):
            import_hooks([path], redis, settings_of(tmp_path))
        for fmt, *_ in FORMATS.values():
            report = import_transcripts(fmt(), [path], redis, settings_of(tmp_path))
            assert [refused.reason for refused in report.refused] == ["it is no regular file"]


def test_pipes_and_devices_beside_a_session_are_never_waited_for(redis: Redis, tmp_path: Path) -> None:
    folder = tmp_path / "p"
    below = folder / "s1" / "subagents"
    below.mkdir(parents=True)
    (folder / "s1.jsonl").write_bytes(seeds.lines(seeds.claude_lines()))
    for place in (folder, below):
        os.mkfifo(place / "agent-1.jsonl")
        (place / "agent-2.jsonl").symlink_to("/dev/zero")
        (place / "agent-3.jsonl").write_bytes(seeds.lines(seeds.claude_lines()).replace(b'"s1"', b'"s3"'))
        (place / "agent-3.meta.json").symlink_to("/dev/zero")
        (place / "agent-4.jsonl").write_bytes(seeds.lines(seeds.claude_lines()).replace(b'"s1"', b'"s4"'))
        os.mkfifo(place / "agent-4.meta.json")
    report = import_transcripts(Claude(), [folder], redis, settings_of(tmp_path))
    assert report.events > 10
    assert report.refused == []


def test_a_line_of_too_many_values_is_broken_before_it_fills_the_memory(redis: Redis, tmp_path: Path) -> None:
    path = tmp_path / "s1.jsonl"
    many = b'{"type":"user","a":[' + b"[]," * (VALUES_MAX + 1) + b"0]}\n"
    path.write_bytes(seeds.lines(seeds.claude_lines()) + many)
    report = import_transcripts(Claude(), [path], redis, settings_of(tmp_path))
    assert report.events > 5
    assert dict(report.by_reason) == {f"it has more than {VALUES_MAX:,} values": 1}
    hooks = tmp_path / "hooks.jsonl"
    hooks.write_bytes(b'{"session_id":"s","hook_event_name":"Stop"}\n' + many)
    assert import_hooks([hooks], redis, settings_of(tmp_path)).dead == 1
    events = tmp_path / "events"
    events.mkdir()
    (events / "events-2026-05-01.jsonl").write_bytes(many + seeds.lines(seeds.gateway_lines()))
    gateway = import_gateway(events, redis, settings_of(tmp_path))
    assert (gateway.dead, gateway.runs) == (1, 1)


def test_many_broken_pieces_of_a_file_share_dead_letters(redis: Redis, tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b"{" * 40_000 + b"\n" + b'{"session_id":"s","hook_event_name":"Stop"}\n')
    report = import_hooks([path], redis, settings_of(tmp_path))
    assert report.events == 1
    assert report.dead == sum(report.by_reason.values()) == 40_000
    letters = list(dead_letters.read(redis))
    assert EACH_MAX < len(letters) < EACH_MAX + 20
    assert sum(letter.data.count(b"{") for letter in letters) == 40_000
    assert "more pieces" in letters[-1].reason


def test_a_report_that_names_a_file_whose_name_is_no_text_is_json_all_the_same(tmp_path: Path) -> None:
    folder = tmp_path / "events"
    folder.mkdir()
    for name in (b"\xff\xfe.txt", b"\x1b[2J.txt"):
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_bytes(b"x")
    done = real_karl(tmp_path / "karl", "import", "gateway", str(folder), "--json")
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["foreign"]) == 2
    assert b"\x1b" not in done.stdout


def test_a_long_line_without_an_end_is_not_held_in_memory_whole(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    with path.open("wb") as file:
        file.write(b'{"session_id":"s","hook_event_name":"Stop"}\n{"a":"')
        for _ in range(80):
            file.write(b"x" * MIB)
    found = list(read_hook_file(path))
    assert len(found) >= 2
    assert all(len(piece.data) <= 64 * 1024 for piece in found[1:])
