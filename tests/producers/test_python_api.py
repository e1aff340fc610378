"""Recording from Python: every call is an event in the spool, in order, whatever the caller does."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import stat
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import karl
from karl import annotate_previous, append_tool_event, flush_session, init_session_buffer
from producers import python_api, spool_writer
from producers.envelope import EnvelopeMaker
from producers.redact import Redactor
from producers.spool import Item, Spool

MAKER = EnvelopeMaker(node="n1", redactor=Redactor())


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in os.environ:
        if name.startswith("KARL_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("KARL_DATA_DIR", str(tmp_path / "karl"))
    python_api._warn.cache_clear()
    return tmp_path / "karl"


def waiting(folder: Path) -> list[tuple[Item, dict[str, Any]]]:
    """Give what the shipper would read, in its order."""
    return [(item, json.loads(item.path.read_bytes())) for item in Spool(folder / "spool").scan(100_000)]


def said(folder: Path) -> list[dict[str, Any]]:
    return [payload for _, payload in waiting(folder)]


def test_the_four_calls_leave_hook_events_in_order(environment: Path) -> None:
    assert init_session_buffer("s-1", "deploy", "ops", "ship it", "/home/dev/shop")
    assert append_tool_event("s-1", "Bash", {"command": "ls"}, True, 0, 12)
    assert append_tool_event("s-1", "Edit", {"file_path": "/a"}, success=False)
    assert flush_session("s-1", {"build_success": True})
    assert annotate_previous("s-1", redo_detected=True)
    events = said(environment)
    assert [event["hook_event_name"] for event in events] == [
        "UserPromptExpansion",
        "UserPromptSubmit",
        "PostToolUse",
        "PostToolUseFailure",
        "Stop",
        "Annotation",
    ]
    assert events[0]["command_name"] == "deploy"
    assert events[1]["prompt"] == "ship it"
    assert events[2]["tool_input"] == {"command": "ls"}
    assert events[2]["duration_ms"] == 12
    assert events[4]["outcome_signals"] == {"build_success": True}
    assert events[5]["redo_detected"] is True
    assert "correction_detected" not in events[5]
    assert {event["session_id"] for event in events} == {"s-1"}


def test_every_event_is_one_that_the_shipper_takes(environment: Path) -> None:
    init_session_buffer("s-1", "deploy", prompt_text="go", git_repo="git@example.org:acme/shop.git")
    append_tool_event("s-1", "Bash", {"command": "ls"})
    annotate_previous("s-1", build_success=False)
    for item, _ in waiting(environment):
        event = MAKER.make(item.path.read_bytes(), name=item.name, agent=item.agent)
        assert (event.session, event.agent) == ("s-1", "python")
    events = [MAKER.make(item.path.read_bytes(), name=item.name) for item, _ in waiting(environment)]
    assert [event.project for event in events] == ["shop", "shop", "", ""]


def test_files_are_for_their_owner_alone(environment: Path) -> None:
    flush_session("s-1")
    ((item, _),) = waiting(environment)
    assert stat.S_IMODE(item.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(item.path.parent.stat().st_mode) == 0o700
    assert Spool(environment / "spool").scan(9) == [item]


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: flush_session(""), ValueError),
        (lambda: flush_session("a\nb"), ValueError),
        (lambda: flush_session("x" * 257), ValueError),
        (lambda: flush_session(7), TypeError),
        (lambda: flush_session("s", [1]), TypeError),
        (lambda: init_session_buffer("s", prompt_text=b"go"), TypeError),
        (lambda: init_session_buffer("s", cwd=7), TypeError),
        (lambda: append_tool_event("s", ""), ValueError),
        (lambda: append_tool_event("s", None), ValueError),
        (lambda: append_tool_event("s", "Bash", success="yes"), TypeError),
        (lambda: append_tool_event("s", "Bash", exit_code=True), TypeError),
        (lambda: append_tool_event("s", "Bash", duration_ms="1"), TypeError),
        (lambda: annotate_previous("s", build_success=1), TypeError),
        (lambda: annotate_previous(""), ValueError),
    ],
)
def test_misuse_raises_and_leaves_nothing(call: Any, error: type[Exception], environment: Path) -> None:
    with pytest.raises(error):
        call()
    assert said(environment) == []


def test_an_annotation_that_says_nothing_is_none(environment: Path) -> None:
    assert annotate_previous("s-1") is False
    assert said(environment) == []


class _Rude:
    def __str__(self) -> str:
        raise LookupError("no")


def test_what_is_no_json_is_told_as_text(environment: Path) -> None:
    circle: list[Any] = []
    circle.append(circle)
    assert append_tool_event(
        "s", "X", {(1, 2): Path("/a"), "b": b"\xff", "c": circle, "rude": _Rude(), "set": {1}, "n": None}
    )
    (event,) = said(environment)
    assert event["tool_input"] == {
        "(1, 2)": "/a",
        "b": "\ufffd",
        "c": ["<list>"],
        "rude": "<_Rude>",
        "set": [1],
        "n": None,
    }


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.integers(), inner, max_size=3),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=_values)
def test_any_input_becomes_an_event_that_the_shipper_takes(value: Any, environment: Path) -> None:
    assert append_tool_event("s", "X", value)
    for item in Spool(environment / "spool").scan(10):
        assert MAKER.make(item.path.read_bytes(), name=item.name).session == "s"
        item.path.unlink()


def test_recording_that_is_switched_off_leaves_nothing(
    environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(environment / "spool")
    spool.switch_off()
    assert flush_session("s") is False
    spool.switch_on()
    spool.mark_full()
    assert flush_session("s") is False
    spool.clear_full()
    monkeypatch.setenv("KARL_DISABLE", "1")
    assert flush_session("s") is False
    monkeypatch.setenv("KARL_DISABLE", "0")
    assert flush_session("s") is True
    assert len(said(environment)) == 1


def test_trouble_gives_false_and_is_logged_once(
    environment: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    environment.write_text("a file where the folder should be")
    with caplog.at_level(logging.WARNING, "karl"):
        assert [flush_session("s"), flush_session("s")] == [False, False]
    assert len(caplog.records) == 1
    monkeypatch.setenv("KARL_DISABLE", "perhaps")
    assert init_session_buffer("s", "skill", prompt_text="go") is False
    assert "KARL_DISABLE" in caplog.records[-1].getMessage()


def test_a_full_disk_leaves_no_half_event(environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flush_session("s")
    write = os.write

    def half(handle: int, data: Any) -> int:
        if len(data) > 10:
            return write(handle, data[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(spool_writer.os, "write", half)
    assert append_tool_event("s", "Bash", {"command": "x" * 50}) is False
    monkeypatch.undo()
    assert len(list((environment / "spool").iterdir())) == 1


def test_events_of_one_tick_keep_their_order(environment: Path) -> None:
    for number in range(300):
        append_tool_event("s", "X", {"n": number})
    for path in (environment / "spool").iterdir():
        os.utime(path, ns=(10**18, 10**18))
    assert [event["tool_input"]["n"] for event in said(environment)] == list(range(300))


def test_a_taken_name_is_passed_over(environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flush_session("s")
    ((item, _),) = waiting(environment)
    monkeypatch.setattr(spool_writer._numbers, "_last", int(item.name.partition(".")[2]) - 1)
    flush_session("t")
    assert [event["session_id"] for event in said(environment)] == ["s", "t"]


def _record(worker: int, count: int) -> None:
    for number in range(count):
        append_tool_event("shared", "X", {"worker": worker, "n": number})


def _in_order(folder: Path) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for event in said(folder):
        found.setdefault(event["tool_input"]["worker"], []).append(event["tool_input"]["n"])
    return found


def test_four_threads_lose_nothing_and_keep_their_order(environment: Path) -> None:
    threads = [threading.Thread(target=_record, args=(worker, 50)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert _in_order(environment) == {worker: list(range(50)) for worker in range(4)}


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_lose_nothing_and_keep_their_order(environment: Path, method: str) -> None:
    _record(9, 5)  # a forked child inherits where this process counts
    context = multiprocessing.get_context(method)
    workers = [context.Process(target=_record, args=(worker, 50)) for worker in range(2)]
    for process in workers:
        process.start()
    for process in workers:
        process.join()
    assert [process.exitcode for process in workers] == [0, 0]
    _record(8, 5)
    everything = {0: list(range(50)), 1: list(range(50)), 8: list(range(5)), 9: list(range(5))}
    assert _in_order(environment) == everything


def test_a_child_that_was_forked_while_a_thread_wrote_is_not_stuck(environment: Path) -> None:
    script = """
    import os, threading
    from karl import flush_session
    from producers.spool_writer import _numbers
    flush_session("before")
    with _numbers.lock:  # as another thread would hold it
        child = os.fork()
        if child == 0:
            os._exit(0 if flush_session("child") else 3)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, timeout=30, check=True
    )
    assert done.stdout.split() == [b"0"]
    assert {event["session_id"] for event in said(environment)} == {"before", "child"}


def test_a_process_that_is_killed_has_lost_nothing_that_returned_true(environment: Path) -> None:
    script = """
    import os, signal
    from karl import append_tool_event
    for n in range(20):
        assert append_tool_event("s", "X", {"n": n})
    os.kill(os.getpid(), signal.SIGKILL)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], timeout=30, check=False)
    assert [event["tool_input"]["n"] for event in said(environment)] == list(range(20))


def test_importing_karl_loads_nothing_but_itself() -> None:
    script = """
    import sys
    before = set(sys.modules)
    import karl
    assert set(sys.modules) - before == {"karl"}, set(sys.modules) - before
    karl.flush_session
    assert not {"redis", "numpy", "msgspec", "click", "re2"} & set(sys.modules)
    """
    subprocess.run([sys.executable, "-S", "-c", _with_path(script)], check=True, timeout=30)


def _with_path(script: str) -> str:
    """A bare interpreter, without what an editable installation loads at its start."""
    root = Path(karl.__file__).parent.parent
    return f"import sys; sys.path.insert(0, {str(root)!r})\n{textwrap.dedent(script)}"


def test_the_package_lists_its_names_and_knows_no_others() -> None:
    assert {"init_session_buffer", "flush_session", "__version__"} <= set(dir(karl))
    assert karl.__all__ == sorted(karl.__all__)
    with pytest.raises(AttributeError, match="no attribute 'flush_sesion'"):
        _ = karl.flush_sesion  # type: ignore[attr-defined]


class Detached(Exception):
    """What a library of strangers raises; no error that Python knows."""


def _breaks(*_: object) -> Any:
    raise Detached


STRANGERS: dict[str, Any] = {
    "text": type("Text", (), {"__str__": _breaks, "__repr__": _breaks})(),
    "dict": type("Dict", (dict,), {"items": _breaks})(a=1),
    "list": type("List", (list,), {"__iter__": _breaks})([1]),
    "class": type("Class", (), {"__class__": property(_breaks)})(),
    "number": 10**5000,
}


@pytest.mark.parametrize("name", STRANGERS)
def test_a_value_whose_own_code_breaks_breaks_nobody(name: str, environment: Path) -> None:
    assert append_tool_event("s", "X", {"it": STRANGERS[name], "other": 1})
    assert flush_session("s", {"it": STRANGERS[name], "build_success": True})
    call, end = said(environment)
    assert call["tool_input"]["other"] == 1
    assert end["outcome_signals"]["build_success"] is True


def test_numbers_that_python_does_not_print_break_nobody(environment: Path) -> None:
    assert append_tool_event("s", "X", success=False, exit_code=10**5000, duration_ms=10**5000)
    assert said(environment)[0]["tool_name"] == "X"


def test_a_working_folder_that_is_gone_gives_false(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KARL_DATA_DIR", "relative")
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert flush_session("s") is False


def test_a_signal_s_handler_may_record_while_its_thread_records(environment: Path) -> None:
    code = """
        import signal
        from karl import append_tool_event
        append_tool_event("s", "Warm")
        signal.signal(signal.SIGALRM, lambda *_: append_tool_event("s", "Handler"))
        signal.setitimer(signal.ITIMER_REAL, 0.003, 0.003)
        for number in range(3000):
            append_tool_event("s", "Loop")
        signal.setitimer(signal.ITIMER_REAL, 0)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True, timeout=60)
    tools = [event["tool_name"] for event in said(environment)]
    assert tools.count("Loop") == 3000
    assert tools.count("Handler") > 0


def test_an_interruption_leaves_no_half_event(environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flush_session("s")
    write = os.write

    def interrupted(handle: int, data: Any) -> int:
        write(handle, data[:10])
        raise KeyboardInterrupt

    monkeypatch.setattr(spool_writer.os, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        append_tool_event("s", "Bash", {"command": "x" * 50})
    monkeypatch.undo()
    assert len(list((environment / "spool").iterdir())) == 1


def test_the_end_of_the_interpreter_raises_nothing(environment: Path) -> None:
    code = """
        import builtins
        from karl import flush_session
        flush_session("s")
        class Last:
            def __del__(self):
                flush_session("s")
        builtins.last = Last()
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], check=True, timeout=60, capture_output=True
    )
    assert b"Traceback" not in done.stderr
    assert said(environment)
