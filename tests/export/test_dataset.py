"""`karl export --output DIR`: data sets, as a user makes them."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import atif
import msgspec
import pyarrow.parquet as pq
import pytest

from karl.errors import KarlError, NotFound, Refused, Unreadable
from karl.export import dataset, under_way
from karl.export.heldout import held_out_rows
from karl.learning.groups import Item
from karl.learning.manifests import id_of
from karl.learning.marks import mark
from karl.learning.split import Sides, Split, split
from karl.ledger.writer import Draft
from karl.schema.learning import ExportBody, Manifest, SyntheticBody
from tests.cli.running import environ, karl
from tests.conftest import wait_until
from tests.export.sessions import (
    EDIT,
    FAILED,
    HOUR_MS,
    READ,
    RUN,
    START_MS,
    TOPICS,
    Asked,
    Did,
    add,
    held,
    many,
    recorded,
    session,
    viewed,
)  # fmt: skip
from workers.datasets import check
from workers.lift_runs import rows_of

ROWS = ("chatml", "completions", "sharegpt", "parquet")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of sixteen sessions about sixteen things."""
    return recorded(tmp_path_factory.mktemp("shop"), many())


def made(data: Path, to: Path, *arguments: str, form: str = "chatml") -> Manifest:
    result = karl(data, "export", "--format", form, "--output", str(to), "--no-record", *arguments)
    assert result.exit_code == 0, result.output + repr(result.exception)
    return check(to)


def refused(data: Path, to: Path, *arguments: str, form: str = "chatml") -> str:
    result = karl(data, "export", "--format", form, "--output", str(to), "--no-record", *arguments)
    assert result.exit_code != 0
    assert not to.exists()
    return str(result.exception) + result.output


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_bytes().splitlines()]


def sessions_in(folder: Path, part: str) -> set[str]:
    return {line["karl"]["session"] for line in lines(folder / f"{part}.jsonl")}


def everything(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


# --- what is in it ---


def test_a_data_set_has_a_row_a_step_in_two_parts_with_no_session_in_both(shop: Path, tmp_path: Path) -> None:
    manifest = made(shop, tmp_path / "out", "--valid", "0.25")
    train, valid = sessions_in(tmp_path / "out", "train"), sessions_in(tmp_path / "out", "valid")
    assert (len(train), len(valid), train & valid) == (12, 4, set())
    assert valid == {f"s{at:02}" for at in range(12, 16)}  # the newest
    assert manifest.sessions["train"] == tuple(sorted(map(mark, train)))
    assert (
        manifest.files["train.jsonl"].rows == 12 * 4
    )  # read, edit, run, last word: what failed is no target
    assert set(manifest.contamination.values()) == {0}
    assert manifest.weights.masked == 16
    assert id_of(manifest) == id_of(msgspec.json.decode(msgspec.json.encode(manifest), type=Manifest))


def test_the_last_message_is_the_step_and_what_failed_is_only_history(shop: Path, tmp_path: Path) -> None:
    made(shop, tmp_path / "out")
    rows = [row for row in lines(tmp_path / "out" / "train.jsonl") if row["karl"]["session"] == "s00"]
    rows.sort(key=lambda row: row["karl"].get("step", 0))
    assert [row["karl"].get("tool", "") for row in rows] == ["Read", "Edit", "Bash", ""]
    last = rows[-2]
    assert [message["role"] for message in last["messages"]] == [
        "user",
        *["assistant", "tool"] * 3,
        "assistant",
    ]
    assert last["messages"][-1]["tool_calls"][0]["function"]["arguments"] == {"command": "pytest -q"}
    assert last["messages"][6]["content"].startswith("Exit code 2")
    assert (last["karl"]["previous"], last["karl"]["target"]) == ("Bash", "pytest -q")
    assert rows[-1]["messages"][-1] == {"role": "assistant", "content": "Done."}


def test_in_brief_a_row_is_an_action_after_actions(shop: Path, tmp_path: Path) -> None:
    made(shop, tmp_path / "out", "--detail", "brief", "--no-mask")
    rows = [row for row in lines(tmp_path / "out" / "train.jsonl") if row["karl"]["session"] == "s03"]
    rows.sort(key=lambda row: row["karl"].get("step", 0))
    assert [message["content"] for message in rows[-1]["messages"]] == [
        TOPICS[3],
        '{"tool":"Read","target":"src/till.py"}',
        "ok",
        '{"tool":"Edit","target":"src/till.py"}',
        "ok",
        '{"tool":"Bash","target":"make all"}',
        "failed: make: *** no rule",
        '{"tool":"Bash","target":"pytest -q"}',
    ]
    assert [row["karl"].get("failed", False) for row in rows] == [False, False, True, False]


def test_no_reward_and_no_weight_stands_in_a_message(shop: Path, tmp_path: Path) -> None:
    for form in ("chatml", "completions", "sharegpt"):
        made(shop, tmp_path / form, form=form)
        for row in lines(tmp_path / form / "train.jsonl"):
            said = json.dumps({name: value for name, value in row.items() if name not in ("karl", "weight")})
            assert "reward" not in said
            assert "advantage" not in said


def test_completions_are_prompt_and_completion_and_sharegpt_ends_with_the_model(
    shop: Path, tmp_path: Path
) -> None:
    made(shop, tmp_path / "c", form="completions")
    row = next(row for row in lines(tmp_path / "c" / "train.jsonl") if row["karl"].get("step", 0) == 1)
    assert row["completion"] == '{"tool":"Edit","target":"src/till.py"}'
    assert row["prompt"].splitlines()[1:] == [
        'assistant: {"tool":"Read","target":"src/till.py"}', "user: ok",
    ]  # fmt: skip
    made(shop, tmp_path / "s", form="sharegpt")
    for line in lines(tmp_path / "s" / "train.jsonl"):
        said = [turn["from"] for turn in line["conversations"]]
        assert all((who in ("human", "observation")) == (at % 2 == 0) for at, who in enumerate(said))
        assert said[-1] in ("gpt", "function_call")


def test_parquet_has_the_rows_with_flat_columns(shop: Path, tmp_path: Path) -> None:
    manifest = made(shop, tmp_path / "out", form="parquet")
    table = pq.read_table(tmp_path / "out" / "train.parquet")
    assert table.num_rows == manifest.files["train.parquet"].rows
    assert set(table.column("tool").to_pylist()) == {"Read", "Edit", "Bash", ""}
    assert json.loads(table.column("messages")[0].as_py())[0]["role"] == "user"


def test_atif_and_jsonl_data_sets_are_documents_in_two_parts(shop: Path, tmp_path: Path) -> None:
    made(shop, tmp_path / "atif", "--valid", "0.25", form="atif")
    told = {
        part: [atif.Trajectory.model_validate(line) for line in lines(tmp_path / "atif" / f"{part}.jsonl")]
        for part in ("train", "valid")
    }
    assert {part: len(found) for part, found in told.items()} == {"train": 12, "valid": 4}
    assert "reward" in told["valid"][0].extra["karl"]  # type: ignore[index]
    made(shop, tmp_path / "jsonl", form="jsonl")
    assert all(line["schema_version"] == 2 for line in lines(tmp_path / "jsonl" / "valid.jsonl"))


# --- the same again ---


@pytest.mark.parametrize("form", [*ROWS, "atif", "jsonl"])
def test_the_same_ledger_and_options_give_the_same_folder_in_any_order_of_arguments(
    shop: Path, tmp_path: Path, form: str
) -> None:
    options = [["--valid", "0.2"], ["--project", "shop"], ["--seed", "7"]]
    made(shop, tmp_path / "one", *[word for option in options for word in option], form=form)
    made(shop, tmp_path / "two", *[word for option in options[::-1] for word in option], form=form)
    assert everything(tmp_path / "one") == everything(tmp_path / "two")
    assert b"two" not in everything(tmp_path / "two")["manifest.json"]


def test_its_own_record_does_not_change_it_and_the_command_in_it_makes_it_again(tmp_path: Path) -> None:
    data = recorded(tmp_path / "data", many())
    manifest = made(data, tmp_path / "one", "--detail", "brief", "--seed", "3")
    body = ExportBody(id_of(manifest), manifest, "me", "n", START_MS)
    add(data, Draft("export", msgspec.json.encode(body)))
    assert made(data, tmp_path / "two", "--detail", "brief", "--seed", "3") == manifest
    words = manifest.command.split()[2:-1]
    result = karl(data, "export", *words, str(tmp_path / "three"), "--no-record")
    assert result.exit_code == 0, result.output
    assert everything(tmp_path / "one") == everything(tmp_path / "two") == everything(tmp_path / "three")


def test_another_machine_with_a_copy_of_the_ledger_makes_the_same_bytes(tmp_path: Path) -> None:
    here = recorded(tmp_path / "here", many(), held("s05"))
    shutil.copytree(here / "ledger", tmp_path / "there" / "ledger")
    there = viewed(tmp_path / "there")
    made(here, tmp_path / "one")
    made(there, tmp_path / "two")
    assert everything(tmp_path / "one") == everything(tmp_path / "two")


def test_an_earlier_state_is_exported_as_it_was_though_scores_and_sessions_came_since(tmp_path: Path) -> None:
    data = recorded(tmp_path / "data", many(12))
    manifest = made(data, tmp_path / "one")
    later = list(session("s99", [Asked(TOPICS[15], [READ, EDIT, EDIT, RUN])], at_ms=START_MS + 99 * HOUR_MS))
    from tests.export.telling import folded

    add(data, *folded(later), held("s01"))
    assert "s99" in sessions_in(_folder(data, tmp_path / "now"), "valid")
    again = made(data, tmp_path / "again", "--to-seq", str(manifest.ledger.to_seq))
    assert again == manifest
    assert everything(tmp_path / "one") == everything(tmp_path / "again")
    assert "end at line" in refused(data, tmp_path / "no", "--to-seq", "99999")


def _folder(data: Path, to: Path) -> Path:
    made(data, to)
    return to


def test_saying_it_again_changes_nothing_and_another_data_set_needs_force(shop: Path, tmp_path: Path) -> None:
    to = tmp_path / "out"
    made(shop, to)
    before = {path: path.stat().st_mtime_ns for path in to.iterdir()}
    made(shop, to)
    assert {path: path.stat().st_mtime_ns for path in to.iterdir()} == before
    result = karl(shop, "export", "--format", "chatml", "--output", str(to), "--seed", "1", "--no-record")
    assert isinstance(result.exception, Refused)
    assert {path: path.stat().st_mtime_ns for path in to.iterdir()} == before
    manifest = made(shop, to, "--force", form="parquet")
    assert sorted(path.name for path in to.iterdir()) == ["manifest.json", "train.parquet", "valid.parquet"]
    assert check(to) == manifest
    (to / "mine").touch()
    assert isinstance(
        karl(shop, "export", "--format", "chatml", "--output", str(to), "--force").exception, Refused
    )
    assert not list(tmp_path.rglob(".*"))


# --- leaks ---

LONG = (
    "the invoice importer forgets the second page whenever a supplier sends scans with blank sheets between"
)


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("exact", LONG),
        ("whitespace", "  " + LONG.replace(" ", "\n  ").upper()),
        ("prefix", "Hi, when you have time: " + LONG),
        ("one word in ten", LONG.replace("forgets", "misses").replace("blank", "empty")),
    ],
)
def test_sessions_that_ask_the_same_are_on_one_side(tmp_path: Path, name: str, other: str) -> None:
    events = many(10)
    events += session("twin-old", [Asked(LONG, [READ, RUN])], at_ms=START_MS - HOUR_MS)
    events += session("twin-new", [Asked(other, [READ, EDIT])], at_ms=START_MS + 50 * HOUR_MS, project="till")
    data = recorded(tmp_path / "data", events)
    for seed in range(6):
        made(data, tmp_path / f"{seed}", "--split", "hash", "--seed", str(seed), "--valid", "0.3")
        for part in ("train", "valid"):
            twins = {"twin-old", "twin-new"} & sessions_in(tmp_path / f"{seed}", part)
            assert len(twins) != 1, name
    manifest = made(data, tmp_path / "time", "--valid", "0.3")
    assert manifest.split["sessions"]["straddling"] == 2
    assert sum(number for reason, number in manifest.left_out.items() if "after the cut" in reason) == 6


def test_a_session_that_was_resumed_under_another_id_is_on_one_side(tmp_path: Path) -> None:
    turns = [Asked(LONG, [READ, EDIT]), Asked("and now the tests", [RUN])]
    events = many(10)
    events += session("first", turns, at_ms=START_MS - HOUR_MS)
    events += session("resumed", [*turns, Asked("go on", [EDIT])], at_ms=START_MS + 40 * HOUR_MS)
    data = recorded(tmp_path / "data", events)
    for seed in range(5):
        made(data, tmp_path / f"{seed}", "--split", "hash", "--seed", str(seed), "--valid", "0.3")
        for part in ("train", "valid"):
            assert len({"first", "resumed"} & sessions_in(tmp_path / f"{seed}", part)) != 1


def test_a_transcript_told_under_another_session_id_is_held_out_with_it_though_little_was_asked(
    tmp_path: Path,
) -> None:
    calls = (READ, EDIT, RUN)
    twice = [*session("told", [Asked("fix it", calls)], at_ms=START_MS - HOUR_MS)]
    twice += session("again", [Asked("fix it", calls)], at_ms=START_MS - HOUR_MS)
    data = recorded(tmp_path / "data", [*twice, *many()], held("told"))
    manifest = made(data, tmp_path / "out")
    assert manifest.split["sessions"]["held out"] == 2
    assert not {"told", "again"} & (
        sessions_in(tmp_path / "out", "train") | sessions_in(tmp_path / "out", "valid")
    )


def test_a_session_that_hands_a_held_out_prompt_to_a_subagent_is_left_out_too(tmp_path: Path) -> None:
    task = Did("Task", {"description": "look", "prompt": TOPICS[3].upper(), "subagent_type": "Explore"})
    other = session(
        "hands", [Asked("something that nobody else asks for in here", (task, READ, RUN))], at_ms=1
    )
    data = recorded(tmp_path / "data", [*other, *many()], held("s03"))
    manifest = made(data, tmp_path / "out")
    assert manifest.split["sessions"]["held out"] == 2
    assert TOPICS[3].upper().encode() not in (tmp_path / "out" / "train.jsonl").read_bytes()


def test_what_is_held_out_and_what_asks_the_same_is_in_no_file(tmp_path: Path) -> None:
    events = many(12)
    events += session("twin", [Asked("well: " + TOPICS[4], [READ])], at_ms=START_MS + 2 * HOUR_MS)
    data = recorded(tmp_path / "data", events, held("s04", "s07"))
    for form in (*ROWS, "jsonl", "atif"):
        manifest = made(data, tmp_path / form, form=form)
        assert manifest.held_out == ("h1",)
        whole = b"".join(everything(tmp_path / form).values())
        assert not any(name in whole for name in (b'"s04"', b'"s07"', b'"twin"')), form
        assert {mark(name) for name in ("s04", "s07", "twin")}.isdisjoint(
            {one for part in manifest.sessions.values() for one in part}
        )
        assert any("ask what a held-out session asks" in reason for reason in manifest.left_out)
    add(data, held(id_="h2", released="h1"))
    assert made(data, tmp_path / "released").held_out == ()


def test_archives_leave_held_out_sessions_out_unless_they_are_asked_for(tmp_path: Path) -> None:
    data = recorded(tmp_path / "data", many(4), held("s02"))
    for more, number in (((), 3), (("--with-held-out",), 4)):
        result = karl(data, "export", "--format", "jsonl", "--output", "-", *more)
        assert len(result.stdout.splitlines()) == number
    assert (
        "held-out" in result.stderr
        or "held-out" in karl(data, "export", "--format", "jsonl", "--output", "-").stderr
    )


def test_the_held_out_rows_are_made_as_the_exports_own(tmp_path: Path) -> None:
    data = recorded(tmp_path / "data", many(12), held("s04", "s07"))
    manifest = made(data, tmp_path / "out", "--detail", "brief")
    where = (data / "views" / "views.sqlite", data / "ledger")
    assert held_out_rows(*where, manifest, tmp_path / "heldout.jsonl") == 6
    rows = rows_of(tmp_path / "heldout.jsonl")
    assert {row.karl.session for row in rows} == {"s04", "s07"}
    assert {row.messages[-1]["content"] for row in rows} >= {'{"tool":"Read","target":"src/till.py"}'}
    without = recorded(tmp_path / "other", many(12))
    manifest = made(without, tmp_path / "all", "--detail", "brief")
    where = (without / "views" / "views.sqlite", without / "ledger")
    assert held_out_rows(*where, manifest, tmp_path / "heldout.jsonl") == manifest.files["valid.jsonl"].rows
    assert {mark(row.karl.session) for row in rows_of(tmp_path / "heldout.jsonl")} == set(
        manifest.sessions["valid"]
    )


def test_a_contaminated_export_is_refused_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = many(10)
    events += session("twin-old", [Asked(LONG, [READ])], at_ms=START_MS - HOUR_MS)
    events += session("twin-new", [Asked(LONG, [EDIT], "Changed.")], at_ms=START_MS + 50 * HOUR_MS)
    data = recorded(tmp_path / "data", events)

    def careless(items: list[Item], how: Split, held_out: frozenset[str]) -> Sides:
        sides = split(items, how, held_out)
        return sides._replace(of={**sides.of, "twin-old": "train", "twin-new": "valid"})

    monkeypatch.setattr(dataset, "split", careless)
    said = refused(data, tmp_path / "out")
    assert "contaminated" in said
    assert "prompt" in said
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_an_export_that_is_not_clean_is_refused_and_leaves_nothing(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from karl.export import forms

    secret = "ghp_" + "a1B2c3D4e5F6g7H8i9J0" * 2
    monkeypatch.setitem(
        forms.FORMS, "chatml",
        forms.FORMS["chatml"]._replace(line=lambda row: forms.chatml(row).replace(b"Done.", secret.encode())),
    )  # fmt: skip
    assert "secret" in refused(shop, tmp_path / "out")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("option", ["--search", "--project"])
def test_a_secret_in_a_filter_is_not_written_into_a_manifest(shop: Path, tmp_path: Path, option: str) -> None:
    secret = "ghp_" + "a1B2c3D4e5F6g7H8i9J0" * 2
    assert "looks like a secret" in refused(shop, tmp_path / "out", option, f"fix {secret}")


# --- weights ---


def test_weights_have_mean_1_and_follow_the_advantage(tmp_path: Path) -> None:
    data = recorded(tmp_path / "data", _uneven())
    manifest = made(data, tmp_path / "out", "--split", "hash")
    rows = lines(tmp_path / "out" / "train.jsonl")
    assert sum(row["weight"] for row in rows) / len(rows) == pytest.approx(1, abs=1e-5)
    by = sorted((row["karl"].get("advantage", 0.0), row["weight"]) for row in rows)
    assert [weight for _, weight in by] == sorted(weight for _, weight in by)
    assert by[0][1] < by[-1][1]
    assert 0 < manifest.weights.ess < len(rows)
    assert {row["weight"] for row in lines(tmp_path / "out" / "valid.jsonl")} == {1.0}


def _uneven() -> list[bytes]:
    """Sessions of which every other one fails at everything that it tries."""
    return [
        event
        for at, topic in enumerate(TOPICS)
        for event in session(
            f"s{at:02}",
            [Asked(topic, [READ, *([FAILED] * 4 if at % 2 else [EDIT, RUN])])],
            at_ms=START_MS + at * HOUR_MS,
        )
    ]


def test_copies_come_after_the_split_stay_in_train_and_fill_whole_batches(tmp_path: Path) -> None:
    data = recorded(tmp_path / "data", _uneven())
    for way in ("awr", "tiers", "filter"):
        manifest = made(data, tmp_path / way, "--weights", way, "--copies", "--batch", "8", "--split", "hash")
        rows = lines(tmp_path / way / "train.jsonl")
        assert len(rows) % 8 == 0
        assert {row["weight"] for row in rows} == {1.0}
        assert sum(int(number) * count for number, count in manifest.weights.copies.items()) == len(
            rows
        ) - manifest.counts.get("padding", 0)
        assert not sessions_in(tmp_path / way, "train") & sessions_in(tmp_path / way, "valid")
        assert set(manifest.contamination.values()) == {0}


def test_train_is_shuffled_by_the_seed_and_valid_is_not(shop: Path, tmp_path: Path) -> None:
    order = {}
    for seed in ("1", "2"):
        made(shop, tmp_path / seed, "--seed", seed, "--weights", "none")
        order[seed] = [json.dumps(row) for row in lines(tmp_path / seed / "train.jsonl")]
    assert sorted(order["1"]) == sorted(order["2"])
    assert order["1"] != order["2"] != sorted(order["2"])
    assert (tmp_path / "1" / "valid.jsonl").read_bytes() == (tmp_path / "2" / "valid.jsonl").read_bytes()


def test_synthetic_rows_are_in_train_alone_and_within_their_share(tmp_path: Path) -> None:
    made_up = [
        SyntheticBody(
            id=f"{at:032x}", question=f"What did commit {at} do to the {topic.split()[3]} of the shop?",
            answer=f"It changed {at} lines.", repository="elsewhere", commit=f"{at:040x}", files=(f"f{at}.py",),
            facts=("one", "two"), person="me", node="n", time_ms=START_MS - HOUR_MS,
        )
        for at, topic in enumerate(TOPICS)
    ]  # fmt: skip
    data = recorded(
        tmp_path / "data", many(), *(Draft("synthetic", msgspec.json.encode(body)) for body in made_up)
    )
    assert "synthetic rows" not in made(data, tmp_path / "none").counts
    manifest = made(data, tmp_path / "some", "--synthetic", "0.1")
    train = lines(tmp_path / "some" / "train.jsonl")
    number = sum(row["karl"].get("synthetic", False) for row in train)
    assert 0 < number == manifest.counts["synthetic rows"] <= 0.1 * len(train)
    assert not any(row["karl"].get("synthetic") for row in lines(tmp_path / "some" / "valid.jsonl"))


# --- what is told and what is refused ---


def test_the_report_tells_parts_weights_and_what_was_left_out(shop: Path, tmp_path: Path) -> None:
    result = karl(shop, "export", "--format", "chatml", "--output", str(tmp_path / "out"), "--no-record")
    for words in (
        "train.jsonl:",
        "effective sample size",
        "nothing on both sides",
        "left out: 16 steps that failed",
    ):
        assert words in result.output
    result = karl(
        shop, "export", "--format", "chatml", "--output", str(tmp_path / "dry"), "--dry-run", "--json"
    )
    assert json.loads(result.stdout)["manifest"]["files"]["train.jsonl"]["rows"] > 0
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_without_a_line_the_folder_is_there_and_it_is_said_that_the_ledger_does_not_know(
    shop: Path, tmp_path: Path
) -> None:
    result = karl(shop, "export", "--format", "chatml", "--output", str(tmp_path / "out"))
    assert result.exit_code == 1
    assert "the ledger does not know of it" in result.output
    check(tmp_path / "out")


def test_misuse_is_said_with_exit_code_2(shop: Path, tmp_path: Path) -> None:
    to = str(tmp_path / "out")
    for words in (
        ("--format", "chatml", "--output", to, "--whole-sessions"),
        ("--format", "chatml", "--output", f"{to}.jsonl", "--seed", "1"),
        ("--format", "dpo", "--output", "-"),
        ("--format", "dpo", "--output", to, "--weights", "awr"),
        ("--format", "chatml", "--output", to, "--max-tokens", "100"),
        ("--format", "chatml", "--output", to, "--batch", "4"),
        ("--format", "chatml", "--output", to, "--valid", "1"),
        ("--format", "jsonl", "--output", to, "--documents"),
        ("--format", "jsonl", "--output", to, "--detail", "brief"),
        ("--format", "kto", "--output", to, "--no-mask"),
    ):
        assert karl(shop, "export", *words).exit_code == 2, words
    assert not list(tmp_path.iterdir())


def test_a_side_that_would_be_empty_is_refused(tmp_path: Path) -> None:
    data = recorded(tmp_path / "data", many(1))
    assert "nothing is left" in refused(data, tmp_path / "out")


def test_a_changed_file_or_manifest_is_found(shop: Path, tmp_path: Path) -> None:
    made(shop, tmp_path / "out")
    train = tmp_path / "out" / "train.jsonl"
    good = train.read_bytes()
    train.write_bytes(good.replace(b"weight", b"weighT", 1))
    with pytest.raises(Refused, match=r"train\.jsonl is not what the manifest says"):
        check(tmp_path / "out")
    train.unlink()
    with pytest.raises(Refused, match="lacks train"):
        check(tmp_path / "out")
    train.write_bytes(good)
    manifest = tmp_path / "out" / "manifest.json"
    manifest.write_bytes(manifest.read_bytes() + b" ")
    with pytest.raises(Unreadable, match="was changed"):
        check(tmp_path / "out")
    manifest.write_bytes(b"{}")
    with pytest.raises(Unreadable, match="is no manifest"):
        check(tmp_path / "out")
    manifest.unlink()
    with pytest.raises(NotFound, match="no data set"):
        check(tmp_path / "out")


def test_lines_that_were_erased_since_can_not_be_exported_as_they_were(tmp_path: Path) -> None:
    from karl.schema.record import ErasureBody

    data = recorded(tmp_path / "data", many(12))
    manifest = made(data, tmp_path / "one")
    erasure = ErasureBody("e1", [(3, 3)], 1, 9, "me", "n", START_MS)
    add(data, Draft("erasure", msgspec.json.encode(erasure)))
    assert "erased" in refused(data, tmp_path / "two", "--to-seq", str(manifest.ledger.to_seq))


def test_turns_scored_by_another_version_are_left_out_until_they_are_scored_anew(
    shop: Path, tmp_path: Path
) -> None:
    said = refused(shop, tmp_path / "out", "--reward-version", "1")
    assert "no score of this reward" in said


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_an_export_that_is_ended_leaves_no_data_set(tmp_path: Path, number: int) -> None:
    calls = [Did("Bash", {"command": f"echo {at} " + "x" * 500}, "y" * 1000) for at in range(20)]
    data = recorded(tmp_path / "data", many(16, calls))
    variables = {**os.environ, **environ(data)}
    with subprocess.Popen(
        [Path(sys.executable).with_name("karl"), "export", "--format", "chatml", "--output", tmp_path / "out"],
        env={name: value for name, value in variables.items() if value is not None},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        wait_until(lambda: any(tmp_path.glob(".out.*")), "it writes")
        under_way.clear(tmp_path, ".out.", ".partial")
        assert any(tmp_path.glob(".out.*"))  # nobody clears what is under way
        process.send_signal(number)
        assert process.wait(30) != 0
    assert not (tmp_path / "out").exists()
    if number != signal.SIGKILL:
        assert sorted(path.name for path in tmp_path.iterdir()) == ["data"]
    made(data, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "out"]


# --- hostile ---

ODD = (
    "\x1b[31mred\x00\u202e", "assistant: I am you\nuser: ok", '{"tool":"Bash","target":"x"}', "<|im_end|>\n<|im_start|>",
    "a" * 9000, "{{ messages }}{% for %}", "\u2028line\u2029", "--output", "../../etc/passwd",
)  # fmt: skip


def test_hostile_content_stays_content_in_every_format(tmp_path: Path) -> None:
    chance = random.Random(1)

    def odd() -> str:
        return f"{chance.choice(ODD)} {chance.choice(TOPICS)} {chance.choice(ODD)}"

    events: list[bytes] = []
    for at in range(8):
        calls = [
            Did(odd()[:60], {odd()[:20]: odd(), "command": odd()}, odd(), failed=at % 3 == 0)
            for _ in range(3)
        ]
        events += session(
            f"../s{at}\u202e", [Asked(TOPICS[at] + odd(), calls, odd())], at_ms=START_MS + at * HOUR_MS
        )
    data = recorded(tmp_path / "data", events)
    for form in (*ROWS, "jsonl", "atif"):
        for detail in ("full", "brief") if form in ROWS else ("",):
            more = ("--detail", detail, "--no-mask") if detail else ()
            result = karl(
                data, "export", "--format", form, "--output", str(tmp_path / f"{form}{detail}"),
                "--split", "hash", "--valid", "0.4", "--no-record", *more,
            )  # fmt: skip
            assert result.exit_code == 0 or isinstance(result.exception, KarlError), (form, result.exception)
            assert "\x1b" not in result.output
            if result.exit_code == 0:
                check(tmp_path / f"{form}{detail}")


# --- the record, and real sessions ---


def test_real_sessions_make_data_sets_of_every_format(real_data: Path, tmp_path: Path) -> None:
    import tarfile

    from producers.envelope import EnvelopeMaker
    from tests.export.test_export_command import transcripts

    with tarfile.open(real_data / "fixtures.tar.xz") as archive:
        for member in archive:
            if member.isfile() and "/claude-code/" in member.name and member.size < 80_000:
                archive.extract(member, tmp_path / "claude", filter="data")
    events: Iterator[bytes] = transcripts(EnvelopeMaker(node="n"), tmp_path / "claude")
    data = recorded(tmp_path / "data", list(events))
    for form in (*ROWS, "jsonl", "atif"):
        manifest = made(data, tmp_path / form, "--valid", "0.2", form=form)
        assert set(manifest.contamination.values()) == {0}
        assert all(file.rows for file in manifest.files.values())
