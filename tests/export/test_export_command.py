"""`karl export`: from a ledger to files, as a user runs it."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import atif
import pytest

from karl.errors import NotFound, Refused, Unreadable
from karl.schema.event import TRANSCRIPT, encode_event, event_id
from karl.schema.trajectory import Outcome
from producers.envelope import EnvelopeMaker
from producers.transcripts.claude import Claude
from producers.transcripts.told import Told
from tests.cli.running import karl, real_karl
from tests.conftest import ROOT
from tests.export.telling import drafts, emissions, folded, recorded
from tests.session.making import Script
from tests.views import ledgers

EVENTS = ROOT / "tests" / "golden" / "export" / "events.jsonl"
FORMATS = ("jsonl", "chatml", "sharegpt", "atif")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of two sessions of the demo's agent, three turns."""
    return recorded(tmp_path_factory.mktemp("shop"), folded(EVENTS.read_bytes().splitlines()))


def report(data: Path, *arguments: str) -> dict[str, Any]:
    result = karl(data, "export", *arguments, "--json")
    assert result.exit_code == 0, result.output + repr(result.exception)
    return json.loads(result.stdout)


def as_archive(form: str, path: Path) -> tuple[str, ...]:
    """The arguments of an archive: ATIF as a folder of documents, others as a file."""
    return ("--format", form, "--output", str(path), *(["--documents"] if form == "atif" else []))


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_bytes().splitlines()]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_every_format_counts_what_it_wrote(shop: Path, tmp_path: Path) -> None:
    for form in FORMATS:
        target = tmp_path / f"{form}.jsonl"
        told = report(shop, *as_archive(form, target))
        assert told["format"] == form
        assert (told["sessions"], told["redactions"]) == (2, {})
        files = [target] if target.is_file() else sorted(target.iterdir())
        assert told["files"] == len(files) == (2 if form == "atif" else 1)
        assert told["bytes"] == sum(file.stat().st_size for file in files)
        assert told["trajectories"] == 3
    assert not list(tmp_path.glob(".*"))


def test_the_same_ledger_gives_the_same_bytes(shop: Path, tmp_path: Path) -> None:
    for form in FORMATS:
        one, two = (karl(shop, "export", "--format", form, "--output", "-") for _ in range(2))
        assert one.stdout_bytes == two.stdout_bytes
        assert len(one.stdout_bytes) > 1000


def test_stdout_has_the_export_alone(shop: Path) -> None:
    result = real_karl(shop, "export", "--format", "jsonl", "--output", "-", "--json")
    assert [json.loads(line)["schema_version"] for line in result.stdout.splitlines()] == [2, 2, 2]
    assert json.loads(result.stderr)["trajectories"] == 3


def test_sessions_come_by_their_first_activity_and_turns_in_order(tmp_path: Path) -> None:
    early, late = ledgers.START_MS - 60_000, ledgers.START_MS + 60_000
    data = recorded(
        tmp_path,
        [
            ledgers.trajectory("s-late", 0, time_ms=late),
            ledgers.trajectory("s-early", 0, time_ms=early),
            ledgers.trajectory("s-late", 1, time_ms=late + 1),
            ledgers.trajectory("s-early", 1, time_ms=late + 2),
        ],
    )
    report(data, "--format", "jsonl", "--output", str(tmp_path / "out.jsonl"))
    assert [line["id"] for line in lines(tmp_path / "out.jsonl")] == [
        "traj_s-early_0", "traj_s-early_1", "traj_s-late_0", "traj_s-late_1",
    ]  # fmt: skip


def test_a_trajectory_that_the_ledger_has_twice_is_exported_once_with_what_was_said_later(
    tmp_path: Path,
) -> None:
    data = recorded(tmp_path, ledgers.story())
    told = report(data, "--format", "jsonl", "--output", str(tmp_path / "out.jsonl"))
    found = {line["id"]: line["outcome"] for line in lines(tmp_path / "out.jsonl")}
    assert told["trajectories"] == len(found) == 3
    assert found["traj_s-alpha_0"]["correction_detected"] is True
    assert found["traj_s-alpha_0"]["annotation_status"] == "annotated"
    assert found["traj_s-beta_0"]["reward_score"] == 0.25
    assert all(isinstance(outcome["advantage"], float) for outcome in found.values())


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--session", "s-beta"], ["s-beta_0"]),
        (["--session", "s-al"], ["s-alpha_0", "s-alpha_1"]),
        (["--session", "s-beta", "--session", "s-alpha"], ["s-alpha_0", "s-alpha_1", "s-beta_0"]),
        (["--session", "traj_s-beta_0"], ["s-beta_0"]),
        (["--agent", "codex"], ["s-beta_0"]),
        (["--node", "n1"], ["s-alpha_0", "s-alpha_1"]),
        (["--project", "shop", "--limit", "1"], ["s-alpha_0"]),
        (["--fleet", "default", "--max-reward", "0.3"], ["s-beta_0"]),
        (["--min-reward", "0.3"], ["s-alpha_0", "s-alpha_1"]),
        (["--since", "2026-01-01", "--until", "2099-01-01"], ["s-alpha_0", "s-alpha_1", "s-beta_0"]),
    ],
)
def test_filters_choose(tmp_path: Path, arguments: list[str], expected: list[str]) -> None:
    data = recorded(tmp_path, ledgers.story())
    report(data, "--format", "jsonl", "--output", str(tmp_path / "out.jsonl"), *arguments)
    assert [line["id"] for line in lines(tmp_path / "out.jsonl")] == [f"traj_{name}" for name in expected]


def test_turns_that_no_person_asked_for_or_that_were_not_completed_are_left_out_and_counted(
    tmp_path: Path,
) -> None:
    s = Script()
    s.prompt("look at it")
    s.pre("c1")
    s.prompt("<task-notification>\n<task-id>b1</task-id>\n</task-notification>")
    s.prompt("thanks, now go on")
    s.stop(last_assistant_message="Done.")
    s.prompt("scheduled", source="scheduled")
    s.stop(last_assistant_message="Run.")
    data = recorded(tmp_path, drafts(emissions(s)))
    only = ("--human-only", "--completed")
    told = report(data, "--format", "jsonl", "--output", str(tmp_path / "out.jsonl"), *only)
    assert told["trajectories"] == 1
    assert sum(told["left_out"].values()) == 2
    assert lines(tmp_path / "out.jsonl")[0]["context"]["prompt_text"] == "thanks, now go on"


def test_an_empty_turn_is_left_out_and_counted(tmp_path: Path) -> None:
    s = Script()
    s.prompt("")
    s.stop()
    s.prompt("hello")
    s.stop()
    data = recorded(tmp_path, drafts(emissions(s)))
    told = report(data, "--format", "jsonl", "--output", str(tmp_path / "out.jsonl"))
    assert (told["trajectories"], list(told["left_out"].values())) == (1, [1])


def test_a_secret_that_slipped_in_before_its_rule_existed_does_not_go_out(tmp_path: Path) -> None:
    secret = "ghp_" + "a1B2c3D4e5F6g7H8i9J0" * 2
    s = Script()
    s.prompt(f"use {secret}")
    s.pre("c1", given={"command": f"curl -H 'Authorization: Bearer {secret}' x"})
    s.post("c1", given={"command": "curl"}, response={"stdout": f"token: {secret}"})
    s.stop(last_assistant_message=f"I used {secret}.")
    data = recorded(tmp_path, drafts(emissions(s)))
    for form in FORMATS:
        told = report(data, "--format", form, "--output", str(tmp_path / f"{form}.jsonl"))
        text = (tmp_path / f"{form}.jsonl").read_text()
        assert secret[4:20] not in text
        assert "[REDACTED:" in text
        assert sum(told["redactions"].values()) >= 3


def test_one_session_in_atif_is_a_file_several_are_a_folder_or_lines(shop: Path, tmp_path: Path) -> None:
    report(shop, "--format", "atif", "--session", "572b", "--output", str(tmp_path / "one.json"))
    atif.Trajectory.model_validate_json((tmp_path / "one.json").read_bytes())
    report(shop, "--format", "atif", "--documents", "--output", str(tmp_path / "all"))
    for file in (tmp_path / "all").iterdir():
        assert atif.Trajectory.model_validate_json(file.read_bytes()).session_id == file.stem
    report(shop, "--format", "atif", "--output", str(tmp_path / "all.jsonl"))
    read = [atif.Trajectory.model_validate(line) for line in lines(tmp_path / "all.jsonl")]
    assert sorted(one.session_id or "" for one in read) == sorted(
        file.stem for file in (tmp_path / "all").iterdir()
    )


def test_the_subagents_of_the_demo_are_inside_and_referred_to(shop: Path, tmp_path: Path) -> None:
    report(shop, "--format", "atif", "--session", "572b", "--output", str(tmp_path / "one.json"))
    read = atif.Trajectory.model_validate_json((tmp_path / "one.json").read_bytes())
    inside = [one.trajectory_id for one in read.subagent_trajectories or ()]
    refs = [
        ref.trajectory_id
        for step in read.steps
        for result in (step.observation.results if step.observation else ())
        for ref in result.subagent_trajectory_ref or ()
    ]
    assert sorted(refs, key=str) == sorted(inside, key=str)
    assert len(refs) == 3


def test_nothing_is_overwritten_without_force(shop: Path, tmp_path: Path) -> None:
    target = tmp_path / "mine.jsonl"
    target.write_text("mine")
    result = karl(shop, "export", "--format", "jsonl", "--output", str(target))
    assert isinstance(result.exception, Refused)
    assert "--force" in str(result.exception)
    assert target.read_text() == "mine"
    report(shop, "--format", "jsonl", "--output", str(target), "--force")
    assert len(lines(target)) == 3

    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "mine").touch()
    result = karl(shop, "export", "--format", "atif", "--documents", "--output", str(folder))
    assert isinstance(result.exception, Refused)
    report(shop, "--format", "atif", "--documents", "--output", str(folder), "--force")
    assert len(list(folder.iterdir())) == 3  # what was there stays
    for odd in (folder, tmp_path / "no" / "such"):
        result = karl(shop, "export", "--format", "jsonl", "--output", str(odd), "--force")
        assert isinstance(result.exception, Refused)
    assert not list(tmp_path.rglob(".*.partial"))


def test_what_can_not_be_is_said_and_leaves_no_file(shop: Path, tmp_path: Path) -> None:
    target = str(tmp_path / "out.jsonl")
    where = ["export", "--format", "chatml", "--output", target]
    assert karl(shop, *where, "--min-reward", "0.9", "--max-reward", "0.1").exit_code == 2
    assert karl(shop, "export", "--format", "atif", "--output", target, "--whole-sessions").exit_code == 2
    assert karl(shop, "export", "--format", "csv", "--output", target).exit_code == 2
    assert isinstance(karl(shop, *where, "--agent", "nobody").exception, NotFound)
    silent = Script()
    silent.prompt("hello?")
    data = recorded(tmp_path / "data", drafts(emissions(silent)))
    result = karl(data, *where)
    assert isinstance(result.exception, NotFound)
    assert "no reply" in str(result.exception)
    assert names(tmp_path) == ["data"]


def test_a_damaged_record_is_left_out_named_and_makes_the_exit_code_1(tmp_path: Path) -> None:
    data = recorded(tmp_path, ledgers.story())
    (segment,) = (data / "ledger").glob("*.jsonl")
    raw = segment.read_bytes()
    segment.write_bytes(raw.replace(b"traj_s-beta_0-0", b"traj_s-beta_0-9", 1))
    result = karl(data, "export", "--format", "jsonl", "--output", str(tmp_path / "out.jsonl"), "--json")
    assert result.exit_code == 1
    assert "karl verify" in next(iter(json.loads(result.stdout)["left_out"]))
    assert len(lines(tmp_path / "out.jsonl")) == 2


def test_every_session_gets_a_file_inside_the_folder_whatever_its_id_is(tmp_path: Path) -> None:
    ids = ["../../up", "a/b", "S1", "s1", ".hidden", "é" * 200, "con\x00trol"]
    made = [ledgers.trajectory(name, 0, id_=f"traj_{at}") for at, name in enumerate(ids)]
    data = recorded(tmp_path / "data", made)
    report(data, "--format", "atif", "--documents", "--output", str(tmp_path / "out"))
    files = list((tmp_path / "out").iterdir())
    assert {json.loads(file.read_bytes())["session_id"] for file in files} == set(ids)
    assert names(tmp_path) == ["data", "out"]


WRITER = """
import sys, time
from pathlib import Path
from karl.export.output import whole_file, whole_folder
from karl.process import leaving_in_order
path = Path(sys.argv[1])
with leaving_in_order():
    with whole_folder(path / "folder", force=False) as folder, whole_file(path / "file", force=False) as file:
        file.write(b"half")
        (folder / "half.json").write_bytes(b"half")
        print("there", flush=True)
        time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_nothing_half_written_has_a_name_whatever_ends_the_export(tmp_path: Path, number: int) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"there\n"
        process.send_signal(number)
        assert process.wait(30) != 0
    left = names(tmp_path)
    assert [name for name in left if not (name.startswith(".") and name.endswith(".partial"))] == []
    if number != signal.SIGKILL:
        assert left == []


def test_a_reader_that_goes_away_is_no_error(shop: Path) -> None:
    result = subprocess.run(
        f"'{Path(sys.executable).with_name('karl')}' export --format atif --output - | head -c 1",
        shell=True,
        env={**os.environ, "KARL_DATA_DIR": str(shop)},
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert (result.stdout, b"Traceback" in result.stderr) == (b"{", False)


# --- real sessions ---


def test_real_sessions_are_exported_whole_in_every_format(real_data: Path, tmp_path: Path) -> None:
    maker, events, calls = EnvelopeMaker(node="n"), [], 0
    with tarfile.open(real_data / "fixtures.tar.xz") as archive:
        for member in archive:
            if not member.isfile() or not (file := archive.extractfile(member)):
                continue
            if "/hook-payloads/" in member.name and member.size < 1_000_000:
                events += list(payloads(maker, file.read()))
            elif "/claude-code/" in member.name and member.size < 300_000:
                archive.extract(member, tmp_path / "claude", filter="data")
    events += list(transcripts(maker, tmp_path / "claude"))
    made = folded(events)
    data = recorded(tmp_path / "data", made)
    for form in FORMATS:
        told = report(data, *as_archive(form, tmp_path / f"{form}.jsonl"))
        if form in ("jsonl", "atif"):
            kept = told["trajectories"] + sum(told["left_out"].values())
            assert kept == sum(draft.kind == "trajectory" for draft in made)
            calls = calls or told["calls"]
            assert told["calls"] == calls > 0
    for file in (tmp_path / "atif.jsonl").iterdir():
        atif.Trajectory.model_validate_json(file.read_bytes())
    alternating = [alternates(line["conversations"]) for line in lines(tmp_path / "sharegpt.jsonl")]
    assert alternating.count(False) < len(alternating) / 20


def payloads(maker: EnvelopeMaker, text: bytes) -> Iterator[bytes]:
    for line in text.splitlines():
        with suppress(Unreadable):
            yield encode_event(
                maker.make(line, name=lambda session, payload: event_id(session, repr(payload)))
            )


def transcripts(maker: EnvelopeMaker, folder: Path) -> Iterator[bytes]:
    claude = Claude()
    for path in claude.find(folder):
        for told in claude.read(path):
            if isinstance(told, Told):
                name = event_id(path.stem, told.key)
                with suppress(Unreadable):
                    yield encode_event(
                        maker.of(told.payload, name=name, agent=claude.agent, source=TRANSCRIPT)
                    )


def alternates(said: list[dict[str, str]]) -> bool:
    return all((turn["from"] in ("human", "observation")) == (at % 2 == 0) for at, turn in enumerate(said))


def test_outcomes_are_unknown_rather_than_guessed(shop: Path, tmp_path: Path) -> None:
    report(shop, "--format", "chatml", "--output", str(tmp_path / "out.jsonl"))
    assert {line["karl"]["build_success"] for line in lines(tmp_path / "out.jsonl")} == {
        Outcome().build_success
    }


def test_a_device_or_a_pipe_is_never_replaced(shop: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    result = karl(shop, "export", "--format", "jsonl", "--output", str(tmp_path / "pipe"), "--force")
    assert isinstance(result.exception, Refused)
    assert "- for stdout" in str(result.exception)
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


def test_an_export_can_be_read_by_its_owner_only(shop: Path, tmp_path: Path) -> None:
    (tmp_path / "open").mkdir(mode=0o755)
    report(shop, "--format", "jsonl", "--output", str(tmp_path / "all.jsonl"))
    report(shop, "--format", "atif", "--documents", "--output", str(tmp_path / "fresh"))
    report(shop, "--format", "atif", "--documents", "--output", str(tmp_path / "open"))
    made = [tmp_path / "all.jsonl", tmp_path / "fresh", *(tmp_path / "open").iterdir()]
    assert len(made) == 4
    assert [path.stat().st_mode & 0o077 for path in made] == [0] * 4


def test_documents_come_into_an_empty_folder_that_is_a_link_and_it_stays_one(
    shop: Path, tmp_path: Path
) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "out").symlink_to("disk")
    told = report(shop, "--format", "atif", "--documents", "--output", str(tmp_path / "out"))
    assert (tmp_path / "out").is_symlink()
    assert len(names(tmp_path / "disk")) == told["files"] == 2
    assert names(tmp_path) == ["disk", "out"]


def test_what_a_killed_export_left_behind_keeps_no_other_from_its_folder(shop: Path, tmp_path: Path) -> None:
    (tmp_path / "out" / ".export.7.partial").mkdir(parents=True)
    assert report(shop, "--format", "atif", "--documents", "--output", str(tmp_path / "out"))["files"] == 2
