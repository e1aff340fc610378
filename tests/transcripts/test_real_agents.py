"""Real sessions of Codex and Copilot CLI, and files of agents that are not read, counted two ways."""

from __future__ import annotations

import tarfile
from collections import Counter
from pathlib import Path

import pytest

from karl.errors import Refused
from karl.schema.trajectory import Trajectory
from producers.transcripts.atif import Atif
from producers.transcripts.codex import Codex
from producers.transcripts.codex_calls import never_ran
from producers.transcripts.copilot import Copilot
from producers.transcripts.recognise import HEAD, name_of
from tests.transcripts import plain_count
from tests.transcripts.folding import trajectories

FOLDERS = ("codex", "copilot", "pi", "entire-compact", "aider-md", "specstory-md", "hook-payloads")


@pytest.fixture(scope="module")
def folder(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made: Path = tmp_path_factory.mktemp("real")
    with tarfile.open(real_data / "fixtures.tar.xz") as archive:
        wanted = [item for item in archive if set(item.name.split("/")[:3]) & set(FOLDERS)]
        archive.extractall(made, members=wanted, filter="data")
    return next(path.parent for path in made.rglob("codex") if path.is_dir())


def failed(turns: list[Trajectory]) -> dict[str, str]:
    calls = (call for turn in turns for call in turn.trajectory.events)
    return {str(call.call_id): call.error or "" for call in calls if call.success is False}


def calls(turns: list[Trajectory]) -> Counter[str]:
    found: Counter[str] = Counter()
    for turn in turns:
        found[turn.session_id] += turn.trajectory.total_tools
    return +found


def tokens(turns: list[Trajectory]) -> Counter[str]:
    found: Counter[str] = Counter()
    for turn in turns:
        found.update(
            {name: getattr(turn.usage, name) for name in ("input", "output", "cache_read", "cache_write")}
        )
    return +found


def test_codex_sessions_are_what_a_plain_count_finds(folder: Path) -> None:
    files = Codex().find(folder / "codex")
    turns, plain = trajectories(Codex(), files), plain_count.codex(files)
    assert {turn.session_id for turn in turns} == plain.sessions
    assert calls(turns) == plain.calls
    assert tokens(turns) == +plain.tokens
    ours = failed(turns)
    assert plain.errors <= ours.keys()
    assert all(never_ran(ours[call]) for call in ours.keys() - plain.errors)


def test_copilot_sessions_are_what_a_plain_count_finds(folder: Path) -> None:
    files = Copilot().find(folder / "copilot")
    turns, plain = trajectories(Copilot(), files), plain_count.copilot(files)
    assert {turn.session_id for turn in turns} == plain.sessions
    assert calls(turns) == plain.calls
    assert failed(turns).keys() == plain.errors
    assert tokens(turns) == +plain.tokens


@pytest.mark.parametrize("kind", FOLDERS)
def test_every_file_of_an_agent_is_known_by_its_name(kind: str, folder: Path) -> None:
    names = {name_of(path.read_bytes()[:HEAD], path) for path in (folder / kind).rglob("*") if path.is_file()}
    assert len(names) == 1
    assert names != {None}


@pytest.mark.parametrize("kind", ["pi", "entire-compact", "aider-md", "specstory-md"])
def test_what_is_not_read_is_refused_by_its_name(kind: str, folder: Path) -> None:
    for path in (folder / kind).rglob("*.*"):
        for reader in (Codex(), Copilot(), Atif()):
            with pytest.raises(
                Refused, match=r"^it is an? .*, which KARL does not read; it reads sessions of claude"
            ):
                reader.find(path)
    with pytest.raises(
        Refused, match=r"^it holds no session of codex, but \d+ files? of another kind \(an? "
    ):
        Codex().find(folder / kind)
