"""Files of hook payloads: every layout that people keep, broken parts named, imports repeatable."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis import Redis

from karl.errors import LineDown, Refused
from karl.schema.event import IMPORT_END, Event, decode_event
from karl.settings import Settings
from karl.stream import dead_letters, keys
from karl.stream.connect import connect
from producers.hook_files import import_hooks, read_hook_file
from producers.pieces import Broken, Piece

P = {"hook_event_name": "Stop", "session_id": "s1"}
LINE = json.dumps(P).encode()


@pytest.fixture
def keep(tmp_path: Path):
    def write(data: bytes, name: str = "log.jsonl") -> Path:
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return write


def read(path: Path) -> tuple[list[dict], list[tuple[int, str]]]:
    found = list(read_hook_file(path))
    pieces = [json.loads(item.data) for item in found if isinstance(item, Piece)]
    return pieces, [(item.line, item.reason) for item in found if isinstance(item, Broken)]


NESTED = {**P, "tool_input": {"a": [{"b": 1}, {"c": 'quoted } \\" { brace'}], "d": {}}, "e": []}
LAYOUTS = {
    "one object per line": LINE + b"\n" + LINE + b"\n",
    "no line end at the end": LINE + b"\n" + LINE,
    "carriage returns and blank lines": LINE + b"\r\n\r\n" + LINE + b"\r\n",
    "an array": b"[" + LINE + b"," + LINE + b"]",
    "an array over lines": b"[\n  " + LINE + b",\n  " + LINE + b"\n]\n",
    "a byte order mark": b"\xef\xbb\xbf" + LINE + b"\n" + LINE,
    "objects run together": LINE + LINE,
    "pretty-printed objects one after another": json.dumps(P, indent=2).encode() + b"\n" + json.dumps(P, indent=4).encode(),
    "a pretty-printed array": json.dumps([P, P], indent=2).encode(),
    "NUL bytes of a torn write": b"\x00\x00\x00" + LINE + b"\n\x00\x00" + LINE + b"\x00",
    "arrays on lines": b"[" + LINE + b"]\n[" + LINE + b"]",
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layout_that_people_keep_is_read(layout: str, keep) -> None:
    assert read(keep(LAYOUTS[layout])) == ([P, P], [])


@pytest.mark.parametrize("name", ["payload", "input", "data"])
@pytest.mark.parametrize("as_text", [False, True])
def test_a_wrapped_payload_is_taken_out_with_the_time_of_its_wrapper(name: str, as_text: bool, keep) -> None:
    wrapped = json.dumps({"ts": "2026-01-01T00:00:00Z", name: json.dumps(P) if as_text else P})
    (piece,) = read_hook_file(keep(wrapped.encode()))
    assert isinstance(piece, Piece)
    assert (json.loads(piece.data), piece.time_ms) == (P, 1767225600000)


def test_a_payload_that_has_a_field_named_like_a_wrapper_is_no_wrapper(keep) -> None:
    payload = {**P, "data": P}
    assert read(keep(json.dumps(payload).encode())) == ([payload], [])


def test_a_wrapper_around_something_else_is_left_alone(keep) -> None:
    assert read(keep(b'{"payload": {"x": 1}}')) == ([{"payload": {"x": 1}}], [])


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (LINE[:22], "inside a text"),
        (LINE[:20], "before its end"),
        (b'{"a": {"b": 1', "before its end"),
        (b'{"a": [{"b": 1}, {"b": 2', "before its end"),
        (b'{"a": 1,', "before its end"),
        (b'{"a": [1}', "do not match"),
        (b"garbage", "no JSON object"),
        (b"42", "no JSON object"),
        (b'"text"', "no JSON object"),
    ],
)
def test_a_broken_line_is_named_and_spoils_no_neighbour(damage: bytes, reason: str, keep) -> None:
    pieces, broken = read(keep(LINE + b"\n" + damage + b"\n" + LINE + b"\n" + LINE))
    assert pieces == [P, P, P]
    assert [line for line, _ in broken] == [2]
    assert reason in broken[0][1]


def test_a_file_that_ends_too_early_says_where(keep) -> None:
    assert read(keep(LINE + b"\n" + b'{"a": {')) == ([P], [(2, "it ends before its end")])


def test_the_line_of_every_payload_is_known(keep) -> None:
    data = json.dumps([P, P], indent=1).encode() + b"\n\n" + LINE + LINE + b"\n" + LINE
    assert [item.line for item in read_hook_file(keep(data))] == [2, 6, 12, 12, 13]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_a_file_in_utf16_is_refused_by_name(encoding: str, keep) -> None:
    pieces, broken = read(keep(LINE.decode().encode(encoding)))
    assert pieces == []
    assert "UTF-16" in broken[0][1]


def test_an_empty_file_holds_nothing(keep) -> None:
    assert read(keep(b"")) == ([], [])


def test_lines_longer_than_a_chunk_are_put_together(keep, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("producers.pieces._CHUNK", 7)
    payload = {**NESTED, "text": "\\" * 50 + '"'}
    data = json.dumps(payload).encode()
    assert read(keep(data + data + b"\n" + data)) == ([payload] * 3, [])


VALUES = st.recursive(
    st.none() | st.integers() | st.text(max_size=8) | st.sampled_from(['"', "\\", "{", "}", "[", "]", "\n"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.fixed_dictionaries({"hook_event_name": st.just("x"), "v": VALUES}), max_size=5), st.integers(0, 3), st.sampled_from([None, 1]), st.sampled_from(["", "\n", "\r\n", " "]))  # fmt: skip
def test_any_payloads_in_any_layout_come_out_as_they_went_in(
    tmp_path_factory: pytest.TempPathFactory,
    payloads: list[dict],
    layout: int,
    indent: int | None,
    between: str,
) -> None:
    texts = [json.dumps(payload, indent=indent) for payload in payloads]
    data = json.dumps(payloads, indent=indent) if layout == 0 else between.join(texts)
    path = tmp_path_factory.mktemp("any") / "x"
    path.write_bytes(data.encode())
    assert read(path) == (payloads, [])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from([LINE, b"{", b"}", b"[", b"]", b'"', b"\\", b"\n", b",", b":", b"\x00", b"x", b"\xff"]), max_size=20).map(b"".join))  # fmt: skip
def test_any_bytes_are_read_to_their_end(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("any") / "x"
    path.write_bytes(data)
    lines = [item.line for item in read_hook_file(path)]
    assert lines == sorted(lines)


# Imports.


@pytest.fixture
def config(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path, node="n1", fleet="f1")


def stream(redis: Redis, session: str) -> list[Event]:
    rows = redis.execute_command("XRANGE", keys.events_key(keys.partition_of(session)), "-", "+")
    return [event for row in rows if (event := decode_event(row[1][1])).session == session]


def log(sessions: int = 3, each: int = 4) -> bytes:
    rows = [{**P, "session_id": f"s{s}", "n": n} for n in range(each) for s in range(sessions)]
    return b"\n".join(json.dumps(row).encode() for row in rows)


def test_an_import_brings_every_event_in_order_and_then_the_end_of_each_session(
    keep, redis: Redis, config: Settings
) -> None:
    report = import_hooks([keep(log())], redis, config)
    assert (report.files, report.events, report.dead, report.sessions) == (1, 12, 0, 3)
    for session in ("s0", "s1", "s2"):
        events = stream(redis, session)
        assert [json.loads(bytes(event.payload)).get("n") for event in events] == [0, 1, 2, 3, None]
        assert [event.kind for event in events] == ["Stop"] * 4 + [IMPORT_END]
        assert {(event.source, event.node, event.fleet, event.time_ms) for event in events} == {
            ("import", "n1", "f1", None)
        }


def test_importing_again_or_an_overlapping_file_makes_the_same_ids(
    keep, redis: Redis, config: Settings
) -> None:
    whole, part = keep(log(1, 6), "whole"), keep(log(1, 3), "part")
    import_hooks([whole, whole, part], redis, config)
    events = stream(redis, "s0")
    assert len(events) == 7 + 7 + 4
    assert len({event.id for event in events if event.kind == "Stop"}) == 6
    assert events[:7] == events[7:14]


def test_equal_payloads_of_one_file_stay_two_events(keep, redis: Redis, config: Settings) -> None:
    import_hooks([keep(LINE + b"\n" + LINE)], redis, config)
    assert len({event.id for event in stream(redis, "s1")}) == 3


def test_what_is_broken_becomes_a_dead_letter_with_file_and_line_and_no_secret(
    keep, redis: Redis, config: Settings
) -> None:
    data = LINE + b'\n{"a": "API_TOKEN=hunter2hunter2\n{"session_id": "s1"}\n' + LINE
    report = import_hooks([keep(data, "my.log")], redis, config)
    letters = list(dead_letters.read(redis))
    assert [letter.reason for letter in letters] == [
        "my.log line 2: its line ends inside a text",
        "my.log line 3: no hook_event_name",
    ]
    assert b"hunter2" not in letters[0].data
    assert (report.events, report.dead) == (2, 2)
    assert report.by_reason == {"its line ends inside a text": 1, "no hook_event_name": 1}


def test_a_secret_in_an_imported_payload_is_not_in_redis(keep, redis: Redis, config: Settings) -> None:
    import_hooks([keep(json.dumps({**P, "prompt": "API_TOKEN=hunter2hunter2"}).encode())], redis, config)
    assert b"hunter2" not in bytes(stream(redis, "s1")[0].payload)


def test_an_import_waits_for_a_stream_over_its_bound(keep, redis: Redis, tmp_path: Path) -> None:
    key = keys.events_key(keys.partition_of("s0"))
    waits = []

    def drain(seconds: float) -> None:
        waits.append(seconds)
        redis.execute_command("XTRIM", key, "MAXLEN", 0)

    import_hooks([keep(log(1, 600))], redis, Settings(data_dir=tmp_path, stream_max_entries=100), wait=drain)
    assert len(waits) >= 2
    assert redis.xlen(key) <= 256


def test_progress_is_told_after_every_batch(keep, redis: Redis, config: Settings) -> None:
    path = keep(log(1, 600))
    told: list[tuple[Path, int]] = []
    import_hooks([path], redis, config, lambda *said: told.append(said))
    assert told == [(path, 256), (path, 512), (path, 600)]


def test_a_missing_file_is_named(redis: Redis, config: Settings, tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"no such\.jsonl can not be read"):
        import_hooks([tmp_path / "no such.jsonl"], redis, config)


def test_without_redis_an_import_ends_with_the_reason(keep, config: Settings, tmp_path: Path) -> None:
    with connect(f"unix://{tmp_path}/none.sock") as nobody, pytest.raises(LineDown, match="did not answer"):
        import_hooks([keep(LINE)], nobody, config)


def test_every_file_of_real_payloads_is_read_without_loss(
    real_data: Path, tmp_path: Path, redis: Redis, config: Settings
) -> None:
    paths, lines = [], 0
    with tarfile.open(real_data / "fixtures.tar.xz") as archive:
        for member in archive:
            if "/hook-payloads/" in f"/{member.name}" and member.isfile():
                paths.append(tmp_path / Path(member.name).name)
                paths[-1].write_bytes(archive.extractfile(member).read())
                lines += sum(1 for line in paths[-1].read_bytes().splitlines() if line.strip())
    report = import_hooks(paths, redis, config, wait=lambda _: pytest.fail("the streams are too long"))
    assert (report.files, report.events, report.dead) == (len(paths), lines, 0)
