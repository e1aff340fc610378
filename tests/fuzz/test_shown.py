"""What was recorded, of any shape, where people and other tools look at it: nothing raises, nothing runs."""

from __future__ import annotations

import json
import re
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from karl.cli.main import cli
from karl.errors import KarlError, Unreadable
from karl.schema.event import encode_event
from producers.envelope import EnvelopeMaker, ImportNaming
from tests.cli.running import environ, karl
from tests.export.telling import folded, recorded
from tests.fuzz import seeds
from tests.fuzz.hostile import PROMPTS, SESSIONS, payload
from tests.fuzz.wild import lines_of, mutated, words_of
from tests.replay.test_page import Seen

DRIVING = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
#: The machine's own name and the fleet's are hostile, too: another machine gave them.
MAKER = EnvelopeMaker(node="n\x1b[2J\u202e", fleet="<img src=x onerror=owned()>")
WORDS = words_of(
    "karl.schema.event", "karl.replay.story", "karl.session.verdicts", "karl.session.edits", "karl.session.vocabulary",
    "karl.export.transcript", "karl.export.conversation", "karl.export.answers", "karl.session.turn",
)  # fmt: skip
#: What a browser would follow or run.
_ACTIVE = re.compile(r"\s*(?:javascript|data|vbscript):", re.IGNORECASE)
#: Elements that load or send something; our pages have none of them.
_LOADING = {
    "img",
    "image",
    "iframe",
    "object",
    "embed",
    "form",
    "base",
    "math",
    "link",
    "video",
    "audio",
    "animate",
    "foreignobject",
}


def told(folder: Path, payloads: list[bytes]) -> bool:
    """Record payloads; says whether any of them was an event."""
    naming, events = ImportNaming(), []
    for number, raw in enumerate(payloads):
        with suppress(Unreadable):
            events.append(encode_event(MAKER.make(raw, name=naming, time_ms=1_790_000_000_000 + number)))
    if events:
        recorded(folder, folded(events))
    return bool(events)


def run(folder: Path, *arguments: str) -> str | None:
    """Run a command with colours let through; null when it refused, in words of ours."""
    result = CliRunner().invoke(cli, arguments, env=environ(folder, NO_COLOR="1"), color=True)
    if isinstance(result.exception, KarlError):
        return None
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    assert DRIVING.search(result.output) is None, (arguments, DRIVING.search(result.output))
    return result.stdout


def look(folder: Path, session: str) -> None:
    """Look at a session in every way there is."""
    for command in ("show", "explain", "replay"):
        run(folder, command, *(("--no-wait", "--full") if command == "replay" else ()), "--", session)
        document = run(folder, command, "--json", "--", session)
        assert document is None or json.loads(document) is not None
    for command in (("sessions",), ("sessions", "--json"), ("tail",), ("tail", "--json"), ("status",)):
        assert run(folder, *command) is not None
    page = run(folder, "replay", "--html", "-", "--", session)
    if page:
        check_page(page)


def check_page(page: str) -> None:
    """Parse a page, and look for what a browser would run, load or follow."""
    seen = Seen(page)
    assert seen.open == []
    assert len(seen.raw["script"]) == len(seen.raw["style"]) == 1
    tags = {tag for tag, _ in seen.elements}
    assert not tags & _LOADING
    assert sum(tag == "svg" for tag, _ in seen.elements) == page.count('<svg class="timeline"')
    for tag, attributes in seen.elements:
        for name, value in attributes.items():
            assert not name.startswith("on"), (tag, name)
            assert name not in {"srcdoc", "action", "formaction", "style"}, (tag, name)
            if name in {"href", "src", "xlink:href"}:
                assert value is not None
                assert value.startswith("#"), value
            assert name == "content" or _ACTIVE.match(value or "") is None


@settings(max_examples=12, deadline=None)
@given(data=st.binary(min_size=20, max_size=400), changes=st.integers(1, 40))
def test_a_session_with_wild_places_is_shown_and_exported_and_runs_nowhere(data: bytes, changes: int) -> None:
    wild = lines_of(mutated(seeds.hook_lines(), data, WORDS, changes)).splitlines()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        if not told(folder, wild):
            return
        look(folder, "s1")
        for form in ("jsonl", "chatml", "sharegpt", "atif"):
            output = folder / "out" / "." if form == "atif" else folder / f"out-{form}.jsonl"
            more = ["--documents"] if form == "atif" else []
            run(folder, "export", "--format", form, "--output", str(output), *more)


def turn_of(session: str, prompt: str) -> list[bytes]:
    call = {
        "session_id": session,
        "tool_name": prompt,
        "tool_input": {"command": prompt, prompt: prompt},
        "tool_use_id": prompt,
    }
    return [
        payload(session_id=session, hook_event_name="UserPromptSubmit", prompt=prompt, cwd=f"/w/{prompt}"),
        payload(hook_event_name="PreToolUse", **call),
        payload(hook_event_name="PostToolUseFailure", error=prompt, **call),
        payload(session_id=session, hook_event_name="Stop", last_assistant_message=prompt),
    ]


URLS = ("javascript:owned()", "data:text/html,<script>owned()</script>", "</script><script>owned()</script>", '"><svg onload=owned()>', "<a href=javascript:owned()>x</a>", "&lt;script&gt;", "\u2028owned()", "]]><script>", "<!--", "--><img src=x onerror=owned()>")  # fmt: skip


def test_prompts_that_look_like_commands_or_pages_are_shown_as_text(tmp_path: Path) -> None:
    prompts = [*PROMPTS, *URLS]
    assert told(
        tmp_path, [raw for number, prompt in enumerate(prompts) for raw in turn_of(f"s-{number:02}", prompt)]
    )
    for command in (("sessions",), ("sessions", "--json"), ("tail",), ("tail", "--json"), ("status",)):
        assert run(tmp_path, *command) is not None
    for number in range(len(prompts)):
        page = run(tmp_path, "replay", "--html", "-", f"s-{number:02}")
        assert page is not None
        check_page(page)
    assert not list(tmp_path.rglob("PWNED"))
    assert not Path("PWNED").exists()


def test_sessions_that_are_named_like_paths_options_and_patterns_are_found_and_leave_the_folder_nowhere(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "inner" / "data"
    assert told(folder, [raw for session in SESSIONS for raw in turn_of(session, "x")])
    listed = json.loads(karl(folder, "sessions", "--json", "--limit", "1000").stdout)
    assert {row["session"] for row in listed} == set(SESSIONS)
    for session in SESSIONS:
        result = karl(folder, "show", "--json", "--", session)
        assert result.exit_code == 0, (session, result.output)
        assert json.loads(result.stdout)["session"]["session"] == session
    out = tmp_path / "inner" / "out"
    assert karl(folder, "export", "--format", "atif", "--documents", "--output", str(out)).exit_code == 0
    assert len(list(out.iterdir())) == len(SESSIONS)
    assert {path.name for path in tmp_path.iterdir()} == {"inner"}
    assert {path.name for path in (tmp_path / "inner").iterdir()} == {"data", "out"}
    assert all(re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,150}\.json", path.name) for path in out.iterdir())


@pytest.mark.parametrize(
    "name",
    ["../../x", "..", "*", "", "\x1b[2J", "-rf", "%", "' or 1=1 --", "x" * 100_000, "traj_*", "\ud800"],
)
def test_a_hostile_argument_names_nothing(tmp_path: Path, name: str) -> None:
    assert told(tmp_path, turn_of("s-1", "x"))
    for command in ("show", "explain", "replay"):
        result = CliRunner().invoke(
            cli, [command, "--", name], env=environ(tmp_path, NO_COLOR="1"), color=True
        )
        assert result.exit_code != 0
        assert isinstance(result.exception, KarlError | SystemExit)
