"""docker-compose.yml and what lies in deploy/: sound by the specification, and the same line as `karl up`."""

from __future__ import annotations

import plistlib
import re
import runpy
import shutil
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import pytest
import yaml

from karl.cli.table import COMMANDS
from karl.doctor.examine import ORDER
from karl.settings import read_settings
from tests.conftest import ROOT
from workers.processes import LINE, Process

TEXT = (ROOT / "docker-compose.yml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: one for name, one in SERVICES.items() if str(one["image"]).startswith("karl-ledger")}
UNITS = sorted((ROOT / "deploy" / "systemd").rglob("*.service"))
PLISTS = sorted((ROOT / "deploy" / "launchd").glob("*.plist"))


def test_it_is_valid_by_the_compose_specification() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", "docker-compose.yml"],
        cwd=ROOT, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout.decode()


def test_it_runs_the_processes_of_karl_up_and_no_other() -> None:
    commands = {tuple(one["command"]) for name, one in OURS.items() if name not in ("ops", "follow")}
    # What only some machines of agents run belongs beside their agents, not beside the line.
    assert commands == {process.words for process in LINE if not process.only_if}


@pytest.mark.parametrize("process", LINE, ids=lambda process: process.name)
def test_a_process_has_the_time_for_a_clean_end_everywhere(process: Process) -> None:
    for one in OURS.values():
        if tuple(one["command"]) == process.words:
            assert _seconds(one["stop_grace_period"]) > process.stop_s
    for unit in UNITS:
        text = unit.read_text()
        if f" {' '.join(process.words)}\n" in text:
            (given,) = re.findall(r"^TimeoutStopSec=(\d+)$", text, re.MULTILINE)
            assert int(given) > process.stop_s


def test_the_whole_line_has_the_time_for_a_clean_end_as_a_service() -> None:
    server_s = 10
    whole = sum(process.stop_s for process in LINE) + server_s
    unit = (ROOT / "deploy/systemd/user/karl-up.service").read_text()
    assert int(re.findall(r"^TimeoutStopSec=(\d+)$", unit, re.MULTILINE)[0]) > whole
    assert plistlib.loads((ROOT / "deploy/launchd/karl.up.plist").read_bytes())["ExitTimeOut"] > whole


def _seconds(text: str) -> int:
    return int(text[:-1]) * {"s": 1, "m": 60}[text[-1]]


def test_what_works_on_the_line_reaches_nothing_outside_and_the_views_reach_nobody() -> None:
    assert COMPOSE["networks"]["line"]["internal"] is True
    for name, one in SERVICES.items():
        if name == "views":
            assert one["network_mode"] == "none"
        else:
            assert set(one["networks"]) == ({"line", "front"} if "ports" in one else {"line"})


def test_the_writer_has_a_standby_on_the_same_disk_and_both_may_write() -> None:
    writer, standby = SERVICES["ledger"], SERVICES["ledger-standby"]
    assert writer["volumes"] == standby["volumes"] == SERVICES["views"]["volumes"]
    nodes = {one["environment"]["KARL_NODE"] for one in (writer, standby)}
    for one in (writer, standby):
        assert set(one["environment"]["KARL_CANONICAL_WRITER"].split(",")) == nodes


@pytest.mark.parametrize("name", OURS)
def test_what_a_container_is_given_are_settings(name: str) -> None:
    given = OURS[name].get("environment", {})
    values = {key: _interpolated(value) for key, value in given.items() if key.startswith("KARL_")}
    settings = read_settings(values)
    assert settings.redis_url == "" or settings.redis_url.endswith("@redis:6379/0")


def _interpolated(value: str) -> str:
    return re.sub(r"\$\{[A-Z_]+:([-?])([^}]*)\}", lambda m: m[2] if m[1] == "-" else "word", value)


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_confined_and_pinned(name: str) -> None:
    one = SERVICES[name]
    assert one["read_only"] is True
    assert one["cap_drop"] == ["ALL"]
    assert one["security_opt"] == ["no-new-privileges:true"]
    assert name == "ops" or (one["mem_limit"] and one["pids_limit"])
    assert one["restart"] == ("no" if name == "ops" else "unless-stopped")
    assert one["logging"]["options"]["max-size"]
    assert re.search(r":v?\d+\.\d+\.\d+", one["image"]), one["image"]
    assert one.get("user", "10001") != "0"
    assert "user" in one or "build" in one


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_has_a_healthcheck_or_can_not_have_one(name: str) -> None:
    check = SERVICES[name]["healthcheck"]
    if name == "ops":  # it does one thing and ends
        assert check == {"disable": True}
        return
    assert check["test"][0] in ("CMD", "CMD-SHELL")
    words = " ".join(check["test"]).split()
    if "doctor" in words:
        assert words[words.index("--only") + 1] in ORDER[:-1]


def test_nothing_is_reachable_from_outside_the_machine() -> None:
    ports = [port for one in SERVICES.values() for port in one.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_passwords_come_from_outside_and_are_demanded() -> None:
    asked = set(re.findall(r"\$\{(PASSWORD_[A-Z]+):\?", TEXT))
    made = runpy.run_path(str(ROOT / "deploy" / "passwords"))
    assert asked <= {made["variable"](role) for role in (*made["REDIS_ROLES"], *made["OTHERS"])}
    assert not re.search(r"\$\{PASSWORD_[A-Z]+(?!:\?)[:}]", TEXT)
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert {".env", "deploy/redis/users.acl"} <= set(ignored)


def test_every_file_that_is_mounted_or_copied_is_there() -> None:
    mounted = re.findall(r"^\s+- (\./[^:]+):", TEXT, re.MULTILINE)
    made = {"./deploy/redis/users.acl"}
    assert [path for path in mounted if path not in made and not (ROOT / path).exists()] == []
    text = (ROOT / "deploy" / "Dockerfile").read_text()
    copied = [
        path for line in re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE) for path in line.split()
    ]
    bound = re.findall(r"--mount=type=bind,source=([^,]+)", text)
    assert copied
    assert bound
    assert [path for path in (*copied, *bound) if not (ROOT / path).exists()] == []
    let_in = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert sorted(let_in) == sorted({*copied, *bound})


def test_the_images_are_built_from_stages_that_there_are_and_run_as_nobody_special() -> None:
    text = (ROOT / "deploy" / "Dockerfile").read_text()
    stages = re.findall(r"^FROM \S+:\S+ AS (\S+)$", text, re.MULTILINE)
    wanted = {one["build"]["target"] for one in SERVICES.values() if "build" in one}
    assert wanted <= set(stages)
    for stage in wanted:
        body = text.partition(f"AS {stage}\n")[2].partition("\nFROM ")[0]
        assert re.search(r"^USER (?!root)\w+$", body, re.MULTILINE)
    listed = (ROOT / "deploy" / "dashboard.txt").read_text().splitlines()
    assert [line for line in listed if not re.fullmatch(r"[A-Za-z0-9_.-]+==[0-9][0-9.]*", line)] == []
    assert {"rq", "rq-dashboard", "six"} <= {line.partition("==")[0] for line in listed}


def test_passwords_are_made_once_and_renewed_when_asked(tmp_path: Path) -> None:
    (tmp_path / "deploy" / "redis").mkdir(parents=True)
    tool = tmp_path / "deploy" / "passwords"
    shutil.copy(ROOT / "deploy" / "passwords", tool)
    shutil.copy(ROOT / "deploy" / "redis" / "users.acl.in", tmp_path / "deploy" / "redis")
    env, acl = tmp_path / ".env", tmp_path / "deploy" / "redis" / "users.acl"

    def run(*words: str) -> int:
        return subprocess.run([sys.executable, tool, *words], capture_output=True, check=False).returncode

    assert run() == 0
    first, users = env.read_text(), acl.read_text()
    assert env.stat().st_mode & 0o777 == 0o600
    assert not any(word in users for word in re.findall(r"=(\w+)", first))
    assert run() == 0
    assert (env.read_text(), acl.read_text()) == (first, users)
    assert run("--renew") == 0
    assert not set(re.findall(r"=(\w+)", first)) & set(re.findall(r"=(\w+)", env.read_text()))
    assert run("--what") == 2


# --- services of the machine itself ---


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_a_unit_starts_a_command_that_there_is_and_is_confined(unit: Path) -> None:
    parsed = ConfigParser(strict=False, interpolation=None)
    parsed.optionxform = str  # type: ignore[assignment, method-assign]
    parsed.read(unit)
    service = parsed["Service"]
    words = service["ExecStart"].split()
    assert words[0].endswith("/karl")
    names = {row.name for row in COMMANDS}
    assert " ".join(words[1:3]) in names or words[1] in names
    assert service["Restart"] in ("always", "on-failure")
    assert service["NoNewPrivileges"] == "yes"
    if "user" not in unit.parts:
        assert service["ProtectSystem"] == "strict"
        assert service.get("User") == "karl"


def test_the_units_of_workers_are_those_of_the_line() -> None:
    started = {
        tuple(re.findall(r"^ExecStart=\S+ (.+)$", unit.read_text(), re.MULTILINE)[0].split())
        for unit in UNITS
    }
    assert {process.words for process in LINE if not process.only_if} <= started


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_systemd_itself_finds_nothing_wrong_with_a_unit(unit: Path, tmp_path: Path) -> None:
    text = (
        unit.read_text()
        .replace("/usr/local/bin/karl", "/bin/true")
        .replace("%h/.local/bin/karl", "/bin/true")
    )
    (tmp_path / unit.name).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(tmp_path / unit.name)], capture_output=True, check=False
    )
    assert unit.name not in done.stderr.decode()
    if "user" not in unit.parts:  # a user's own manager can confine little
        words = ["systemd-analyze", "security", "--offline=true", "--threshold=20", str(tmp_path / unit.name)]
        assert subprocess.run(words, capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("path", PLISTS, ids=lambda path: path.name)
def test_a_launchd_agent_is_sound_and_becomes_a_command_that_there_is(path: Path, tmp_path: Path) -> None:
    told = plistlib.loads(path.read_bytes())
    assert told["Label"] == path.stem
    assert told["KeepAlive"] is True
    (tmp_path / ".local/bin").mkdir(parents=True)
    (tmp_path / "Library/Logs").mkdir(parents=True)
    karl = tmp_path / ".local/bin/karl"
    karl.write_text('#!/bin/sh\necho "$$ $*" >&2\n')
    karl.chmod(0o755)
    environ = {**told["EnvironmentVariables"], "HOME": str(tmp_path)}
    with subprocess.Popen(told["ProgramArguments"], env=environ) as process:
        pass
    said = (tmp_path / "Library/Logs" / f"{path.stem}.log").read_text().split()
    assert int(said[0]) == process.pid, "a signal of launchd's must reach karl itself"
    assert said[1] in {row.name for row in COMMANDS}


def test_there_are_units_and_an_agent() -> None:
    assert UNITS
    assert PLISTS
