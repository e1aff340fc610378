"""What KARL makes is its owner's alone, whatever the umask; and no link that lies in the way is followed."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from karl.errors import LineDown, Refused
from karl.stream import server as servers
from karl.stream.server import Server
from karl.views.store import locked, next_file
from producers.hook import hook_command
from producers.importing import alone
from producers.spool import Spool
from producers.transcripts.imported import imported
from tests.cli.running import KARL, environ, real_karl
from tests.conftest import wait_until
from tests.fuzz import seeds

EVENTS = (
    b'{"session_id":"s1","hook_event_name":"UserPromptSubmit","prompt":"hi"}',
    b'{"session_id":"s1","hook_event_name":"Stop","last_assistant_message":"Done."}',
)


class Here:
    """A place in which everything is run with umask 0."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "deep" / "below" / "data"
        variables = {
            **os.environ,
            **environ(self.data, HOME=str(folder / "home"), CLAUDE_CONFIG_DIR=str(folder / "home/.claude")),
        }
        self.environ = {name: value for name, value in variables.items() if value is not None}
        (folder / "home").mkdir()

    def karl(self, *arguments: str) -> str:
        done = subprocess.run(
            [KARL, *arguments],
            env=self.environ,
            umask=0,
            cwd=self.folder,
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, (arguments, done.stderr)
        return done.stdout.decode()

    def shell(self, line: str, data: bytes) -> None:
        subprocess.run(["/bin/sh", "-c", line], input=data, umask=0, env=self.environ, timeout=60, check=True)

    def open_to_others(self) -> dict[str, str]:
        """What anybody else may read, write or enter, with its mode."""
        paths = [self.folder / "deep", *(self.folder / "deep").rglob("*"), *(self.folder / "out").rglob("*")]
        paths += (self.folder / "home").rglob("*")
        modes = {path: path.lstat().st_mode for path in paths}
        return {
            str(path.relative_to(self.folder)): stat.filemode(mode)
            for path, mode in modes.items()
            if mode & 0o077 and not stat.S_ISLNK(mode)
        }


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Here]:
    made = Here(tmp_path)
    log = tmp_path / "up.log"
    with log.open("wb") as output:
        up = subprocess.Popen(
            [KARL, "up"], env=made.environ, umask=0, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
    try:
        wait_until(lambda: b"partitions gained" in log.read_bytes(), "somebody folds")
        wait_until((made.data / "spool").is_dir, "there is a folder that the hook can write to")
        yield made
    finally:
        up.terminate()
        up.wait(30)


def test_all_that_a_line_and_its_commands_make_is_their_owners_alone(here: Here) -> None:
    (here.folder / "out").mkdir()
    line = hook_command(here.data / "spool", "claude-code")
    for data in EVENTS:
        here.shell(line, data)
    transcript = here.folder / "t1.jsonl"
    transcript.write_bytes(seeds.lines(seeds.claude_lines()).replace(b'"s1"', b'"t1"'))
    here.karl("import", "claude", str(transcript))
    here.karl("hooks", "install")
    record = [
        sys.executable, "-c",
        "import karl; karl.init_session_buffer('p1', prompt_text='x'); assert karl.flush_session('p1')",
    ]  # fmt: skip
    subprocess.run(record, env=here.environ, umask=0, timeout=60, check=True)
    wait_until(
        lambda: all(name in here.karl("sessions", "--json") for name in ("s1", "t1", "p1")), "all are seen"
    )
    for form in ("jsonl", "chatml", "sharegpt"):
        here.karl("export", "--format", form, "--output", f"out/{form}.jsonl", "--session", "s1")
    here.karl("export", "--format", "atif", "--documents", "--output", "out/atif")
    here.karl("replay", "s1", "--html", "out/page.html")
    here.karl("rebuild")
    here.karl("verify")
    made = {path.name for path in here.data.rglob("*")}
    assert {"spool", "ledger", "views", "redis", "imports.sqlite", "server.log"} <= made
    assert here.open_to_others() == {}


def test_a_folder_for_calls_from_python_is_made_private_all_the_way_down(tmp_path: Path) -> None:
    code = "import karl, os; os.umask(0); assert karl.init_session_buffer('s', prompt_text='x')"
    variables = {**os.environ, **environ(tmp_path / "a" / "b" / "karl")}
    subprocess.run(
        [sys.executable, "-c", code],
        env={k: v for k, v in variables.items() if v is not None},
        timeout=60,
        check=True,
    )
    made = [tmp_path / "a", *(tmp_path / "a").rglob("*")]
    assert len(made) >= 5
    assert {oct(path.stat().st_mode & 0o077) for path in made} == {"0o0"}


def test_links_in_place_of_files_are_not_followed(tmp_path: Path) -> None:
    data, victim = tmp_path / "karl", tmp_path / "victim"
    data.mkdir()
    (data / "imports.lock").symlink_to(victim)
    with pytest.raises(Refused), alone(data / "imports.lock", "another"):
        pass
    (data / "imports.lock").unlink()
    (data / "imports.sqlite").symlink_to(victim)
    with pytest.raises(Refused, match="is a link"), imported(data, "codex"):
        pass
    views = data / "views" / "views.sqlite"
    views.parent.mkdir()
    (views.parent / "views.sqlite.lock").symlink_to(victim)
    with pytest.raises(OSError, match="symbolic link"), locked(views):
        pass
    spool = Spool(data / "spool")
    spool.prepare()
    (spool.folder / "off").symlink_to(victim)
    assert real_karl(data, "disable").returncode == 1
    assert not victim.exists()


def test_a_file_among_the_views_whose_name_has_digits_of_another_script_is_none_of_them(
    tmp_path: Path,
) -> None:
    (tmp_path / "views-²³.sqlite").touch()
    assert next_file(tmp_path / "views.sqlite").name == "views-000001.sqlite"


@pytest.mark.parametrize(
    "command", [("export", "--format", "jsonl", "--output", "OUT"), ("replay", "s1", "--html", "OUT")]
)
def test_an_output_that_is_a_link_is_replaced_and_what_it_leads_to_stays(
    tmp_path: Path, command: tuple[str, ...], recorded_data: Path
) -> None:
    victim, out = tmp_path / "victim", tmp_path / "out.jsonl"
    victim.write_text("mine")
    out.symlink_to(victim)
    named = [str(out) if word == "OUT" else word for word in command]
    assert real_karl(recorded_data, *named).returncode == 1
    assert real_karl(recorded_data, *named, "--force").returncode == 0
    assert victim.read_text() == "mine"
    assert not out.is_symlink()
    assert out.stat().st_mode & 0o777 == 0o600


@pytest.fixture(scope="module")
def recorded_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.replay.turns import data, told

    return data(tmp_path_factory.mktemp("recorded"), told())


def test_a_server_does_not_move_into_a_folder_that_is_open_to_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A data folder with a long path has its socket below the folder of temporary files, whose names can be guessed."""
    monkeypatch.setattr(servers.tempfile, "gettempdir", lambda: str(tmp_path))
    data = tmp_path / ("long" * 30)
    planted = servers.socket_path(data).parent
    planted.mkdir()
    planted.chmod(0o777)
    with pytest.raises(LineDown, match="not yours alone"):
        Server(data).start()
    planted.rmdir()
    (tmp_path / "theirs").mkdir(mode=0o700)
    planted.symlink_to(tmp_path / "theirs")
    with pytest.raises(LineDown, match="not yours alone"):
        Server(data).start()
