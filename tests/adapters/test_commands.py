"""`karl adapters`: what people and programs are shown, and exit codes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import Result

from karl.cli.people import AGENTS_SHELLS
from karl.errors import NotFound, Refused
from tests.adapters.scene import TRAIN, VALID, Scene
from tests.cli.running import karl

HOSTILE = "x\x1b[2J\u202ey"


@pytest.fixture(autouse=True)
def a_person(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in AGENTS_SHELLS:
        monkeypatch.delenv(name, raising=False)


def said(scene: Scene, *arguments: str) -> Result:
    """Run a command beside a line that stands still but for what was asked."""
    result = karl(
        scene.settings.data_dir,
        "adapters",
        *arguments,
        KARL_REDIS_URL=scene.settings.redis_url,
        KARL_NODE="n1",
    )
    scene.catch_up()
    return result


def told(scene: Scene, *arguments: str) -> Any:
    return json.loads(said(scene, *arguments, "--json").stdout)


def test_the_list_tells_of_each_adapter_what_it_earned_and_which_one_is_in_use(scene: Scene) -> None:
    assert "no adapter was trained yet" in said(scene, "list").stdout
    first = scene.earned()
    scene.training(first.export, "two", label="other")
    shown = said(scene, "list").stdout
    assert "lift +0.4" in shown
    assert "no adapter is in use" in shown
    assert said(scene, "promote", first.adapter[:8]).exit_code == 0
    document = told(scene, "list")
    assert document["current"] == document["link"] == first.adapter
    assert [(one["training"]["label"], one["in_use"], one["here"]) for one in document["adapters"]] == [
        ("other", False, True), ("", True, True),
    ]  # fmt: skip
    assert document["adapters"][1]["evaluation"]["verdict"] == "lift"


def test_files_that_are_not_what_they_were_are_shown_also_where_nothing_judged_the_adapter(
    scene: Scene,
) -> None:
    scene.sessions(*TRAIN, *VALID)
    made = scene.training(scene.export().id)
    assert said(scene, "show", made.adapter).exit_code == 0
    with (scene.settings.adapters / made.adapter / "adapters.safetensors").open("ab") as file:
        file.write(b"x")
    shown = said(scene, "show", made.adapter)
    assert shown.exit_code == 1
    assert "adapter's files  broken" in shown.stdout


def test_the_list_says_when_the_link_of_this_machine_leads_elsewhere(scene: Scene) -> None:
    first = scene.earned()
    said(scene, "promote", first.adapter)
    (scene.settings.adapters / "current").unlink()
    assert "the link `current` of this machine is not there" in said(scene, "list").stdout


def test_show_goes_from_the_ledger_to_the_decision(scene: Scene) -> None:
    made = scene.earned()
    said(scene, "promote", made.adapter, "--reason", f"it lifts {HOSTILE}")
    result = said(scene, "show", made.adapter[:8])
    assert result.exit_code == 0
    for word in ("lines 1 to", "5 sessions", "run-one", "best loss in validation 2.5000", "ev1", "it lifts"):
        assert word in result.stdout
    assert "\x1b" not in result.stdout
    assert "\u202e" not in result.stdout
    document = told(scene, "show", "current")
    assert document["in_use"]
    assert document["erased"] == 0
    assert {check["result"] for check in document["checks"]} == {"yes"}


def test_show_ends_with_1_when_a_file_is_another(scene: Scene) -> None:
    made = scene.earned()
    (scene.settings.adapters / made.adapter / "adapter_config.json").write_bytes(b"{}")
    result = said(scene, "show", made.adapter)
    assert result.exit_code == 1
    assert "adapter_config.json has the sha256" in result.stdout


def test_a_refusal_names_what_is_missing(scene: Scene) -> None:
    scene.sessions(*TRAIN, *VALID)
    made = scene.training(scene.export().id)
    result = said(scene, "promote", made.adapter)
    assert isinstance(result.exception, Refused)
    assert f"`karl sft-eval {made.adapter[:12]}` does" in str(result.exception)
    assert isinstance(said(scene, "show", "nope").exception, NotFound)


def test_force_needs_a_reason_and_a_person(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    made = scene.earned(effect=0.0)
    assert said(scene, "promote", made.adapter, "--force").exit_code == 2
    assert said(scene, "promote", made.adapter, "--force", "--reason", " ").exit_code == 2
    monkeypatch.setenv("CLAUDECODE", "1")
    refused = said(scene, "promote", made.adapter, "--force", "--reason", "x")
    assert "an agent's shell" in str(refused.exception)
    monkeypatch.delenv("CLAUDECODE")
    assert said(scene, "promote", made.adapter, "--force", "--reason", "x").exit_code == 0
    assert scene.decisions()[-1].forced


def test_rollback_needs_a_reason_and_says_what_is_in_use_then(scene: Scene) -> None:
    made = scene.earned()
    said(scene, "promote", made.adapter)
    assert said(scene, "rollback").exit_code == 2
    shown = said(scene, "rollback", "--reason", "it tells nonsense").stdout
    assert f"rollback: no adapter is in use; before it was {made.adapter[:12]}" in shown
    assert told(scene, "list")["current"] == ""
