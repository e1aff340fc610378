"""Plugins as agents keep them: installed, cached, switched off, and such as reach out of their folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.skills.writing import fields, only, read, skill, whys


def plugin(folder: Path, **manifest: Any) -> Path:
    skill(folder, ".claude-plugin", json.dumps(manifest), "plugin.json")
    return folder


def names(path: Path) -> set[str]:
    return {one.name for one in read(path).skills}


def test_skills_and_commands_of_a_plugin_carry_its_name(tmp_path: Path) -> None:
    plugin(tmp_path, name="office")
    skill(tmp_path, "skills/sheets", fields(name="sheets", description="Sheets."))
    skill(tmp_path, "commands/make", "Makes a report.", "report.md")
    told = read(tmp_path)
    assert {one.name for one in told.skills} == {"office:sheets", "office:make:report"}
    assert {one.plugin for one in told.skills} == {"office"}


def test_a_name_that_has_the_plugins_already_is_as_it_is(tmp_path: Path) -> None:
    plugin(tmp_path, name="office")
    skill(tmp_path, "skills/sheets", fields(name="office:sheets"))
    assert names(tmp_path) == {"office:sheets"}


@pytest.mark.parametrize("more", ["./extra", ["./extra"], ["./extra", "./extra/"]])
def test_the_manifest_names_more_folders(tmp_path: Path, more: Any) -> None:
    plugin(tmp_path, name="p", skills=more, commands="./orders/go.md")
    skill(tmp_path, "skills/own", fields(name="own"))
    skill(tmp_path, "extra/other", fields(name="other"))
    skill(tmp_path, "orders", "Goes.", "go.md")
    assert names(tmp_path) == {"p:own", "p:other", "p:go"}


def test_the_manifest_describes_commands(tmp_path: Path) -> None:
    commands = {
        "ask": {"source": "./ask.md"},
        "say": {"content": "Says it.", "description": "Speaks."},
        "bad": 1,
    }
    plugin(tmp_path, name="p", commands=commands)
    skill(tmp_path, ".", "Asks.", "ask.md")
    told = read(tmp_path)
    assert {one.name: one.description for one in told.skills} == {"p:ask": "Asks.", "p:say": "Speaks."}
    assert "is no object" in whys(told.problems)


@pytest.mark.parametrize("out", ["../other", "/", "/etc", "a/../../other", "\x00"])
def test_a_plugin_does_not_reach_out_of_its_folder(tmp_path: Path, out: str) -> None:
    skill(tmp_path, "other/secret", fields(name="secret"))
    folder = plugin(tmp_path / "p", name="p", skills=[out], commands={"x": {"source": out}})
    told = read(folder)
    assert [one.name for one in told.skills if "secret" in one.name or "secret" in one.description] == []


def test_a_plugin_of_one_skill_has_it_at_its_top(tmp_path: Path) -> None:
    plugin(tmp_path, name="solo")
    skill(tmp_path, ".", fields(name="solo-skill"))
    assert names(tmp_path) == {"solo:solo-skill"}


@pytest.mark.parametrize("bad", ["", "{", "[]", '"x"', '{"name": 3}', "{" * 5000, '{"name": "\\ud800"}'])
def test_a_manifest_that_is_none_leaves_the_folders_name(tmp_path: Path, bad: str) -> None:
    folder = tmp_path / "tools"
    skill(folder, ".claude-plugin", bad, "plugin.json")
    skill(folder, "skills/one", fields(name="one"))
    assert only(read(folder)).name.endswith(":one")


def installed(folder: Path, entries: dict[str, Any], version: int = 2) -> None:
    skill(folder, ".", json.dumps({"version": version, "plugins": entries}), "installed_plugins.json")


def cached(folder: Path, market: str, name: str, version: str) -> Path:
    path = folder / "cache" / market / name / version
    skill(path, "skills/it", fields(name="it", description=f"{name} {version}"))
    return path


def test_what_is_installed_counts_and_nothing_else_of_the_cache(tmp_path: Path) -> None:
    folder = tmp_path / "plugins"
    old, new = (cached(folder, "m", "office", version) for version in ("1.0.0", "2.0.0"))
    cached(folder, "m", "left-over", "1.0.0")
    installed(folder, {"office@m": [{"scope": "user", "installPath": str(old)}]})
    assert only(read(folder)).description == "office 1.0.0"
    installed(folder, {"office@m": {"installPath": str(new)}}, version=1)
    assert only(read(folder)).description == "office 2.0.0"


def test_a_plugin_of_one_project_counts_there_alone(tmp_path: Path) -> None:
    folder = tmp_path / "plugins"
    path = cached(folder, "m", "office", "1")
    installed(
        folder, {"office@m": [{"scope": "project", "installPath": str(path), "projectPath": "/srv/shop"}]}
    )
    assert only(read(folder)).project == "shop"


def test_without_a_list_the_newest_version_of_each_counts(tmp_path: Path) -> None:
    folder = tmp_path / "plugins"
    for version in ("1.9.0", "1.10.0", "1.2.0"):
        cached(folder, "m", "office", version)
    assert only(read(folder)).description == "office 1.10.0"


def test_what_is_switched_off_does_not_count(tmp_path: Path) -> None:
    folder = tmp_path / "plugins"
    cached(folder, "m", "office", "1")
    cached(folder, "m", "tools", "1")
    skill(
        tmp_path, ".", json.dumps({"enabledPlugins": {"office@m": False, "tools@m": True}}), "settings.json"
    )
    assert names(folder) == {"tools:it"}


def test_a_list_that_points_elsewhere_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "plugins"
    folder.mkdir()
    skill(tmp_path, "own/skills/it", fields(name="it"))
    installed(
        folder,
        {
            "own@m": [{"installPath": str(tmp_path / "own")}],
            "gone@m": [{"installPath": str(folder / "no")}],
            "odd": 3,
        },
    )
    told = read(folder)
    assert told.skills == ()
    assert "outside of the folder" in whys(told.problems)
    assert "not there" in whys(told.problems)
