"""`karl tail` over what is told, made, decided and predicted of routing."""

from __future__ import annotations

import json
from pathlib import Path

from karl.schema.record import RecordKind
from tests.cli.running import karl
from tests.views import ledgers
from tests.views.routed import decision, exemplar, place, prediction, router, said, turn

HOSTILE = "x\x1b[2J\u202ey"


def story(word: str) -> list[ledgers.Draft]:
    first = turn("s", 0, "ship")
    return [
        place(f"~/{word}", "ship", "review"),
        exemplar("e1", word, f"get it {word}"),
        exemplar("e1", word, removed=True),
        router("abcdef0123456789", label=word),
        decision("d1", "promote", mode="active", ready=("ship",), reason=word, forced=True),
        prediction("ev-s-0", word, (word, 0.8125), ("b", 0.1)),
        first,
        said(first, skill=word),
        said(first, skill="", corrected=True, by="b"),
    ]


def test_each_record_of_routing_is_one_line_that_says_what_it_is(tmp_path: Path) -> None:
    ledgers.write(tmp_path / "ledger", story("ship"))
    lines = [line[58:].strip() for line in karl(tmp_path, "tail", "--limit", "20").stdout.splitlines()]
    assert [line for line in lines if "turn 0" not in line] == [
        "2 skills and 2 rules of ~/ship",
        "exemplar of ship  get it ship",
        "no exemplar of ship any more  some words",
        "router abcdef012345 ship (bootstrap, centroid over static, 2 skills, 7 exemplars)",
        "routing promote although checks said no, mode active, router r1, 1 skill by the vector router: ship",
        "live prediction: the router ship (0.81)",
        lines[7],
        lines[8],
    ]
    assert ": the prompt was for ship, reward now " in lines[7]
    assert ", the prompt was for no skill, reward now " in lines[8]


def test_json_names_what_each_record_is_about(tmp_path: Path) -> None:
    ledgers.write(tmp_path / "ledger", story("ship"))
    news = [json.loads(line) for line in karl(tmp_path, "tail", "--json").stdout.splitlines()]
    told = [(one["kind"], one.get("about"), one.get("skill")) for one in news if one["kind"] != "trajectory"]
    assert told == [
        ("skills", "~/ship", None),
        ("exemplar", "e1", "ship"),
        ("exemplar", "e1", "ship"),
        ("router", "abcdef0123456789", None),
        ("routing", "d1", None),
        ("shadow", "ev-s-0", None),
        ("annotation", None, "ship"),
        ("annotation", None, ""),
    ]
    assert [one["session"] for one in news if one["kind"] == "shadow"] == ["s"]


def test_nothing_of_it_drives_the_terminal(tmp_path: Path) -> None:
    ledgers.write(tmp_path / "ledger", story(HOSTILE))
    shown = karl(tmp_path, "tail", "--limit", "20").stdout + karl(tmp_path, "tail", "--json").stdout
    assert "\x1b" not in shown
    assert "\u202e" not in shown


def test_every_kind_of_record_can_be_told(tmp_path: Path) -> None:
    ledgers.write(tmp_path / "ledger", [*story("ship"), *ledgers.story()])
    news = [
        json.loads(line) for line in karl(tmp_path, "tail", "--limit", "50", "--json").stdout.splitlines()
    ]
    assert {one["kind"] for one in news} <= set(RecordKind.__args__)
    assert not [one for one in news if "unreadable" in one]
