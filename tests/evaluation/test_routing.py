"""Labelled sets read, split and measured; `karl routing evaluate` as a user runs it."""

from __future__ import annotations

import csv
import json
import random
import tarfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from karl.errors import KarlError
from karl.evaluation.ranking import Draws
from karl.evaluation.routing.assess import assess
from karl.evaluation.routing.baselines import Rules
from karl.evaluation.routing.catalogue import named, own_words, plain_words, read_skills
from karl.evaluation.routing.labelled import Labelled, LabelledSet, read
from karl.evaluation.routing.measures import measure, ranks
from karl.evaluation.routing.split import split
from karl.schema.routing import SkillEntry
from tests.cli.running import karl
from tests.routing.made import exemplars, vectors

STRANGE = [f"zzz{number} unheard of {number}" for number in range(12)]


def made_set(each: int = 30, **parts: int) -> LabelledSet:
    made = LabelledSet("made")
    for number, (part, count) in enumerate({"train": each, **parts}.items()):
        made.parts[part] = [Labelled(one.text, one.skill) for one in exemplars(4, count, seed=number)]
    return made


def jsonl(path: Path, rows: list[Labelled]) -> Path:
    path.write_text(
        "".join(json.dumps({"text": row.text, "label": row.label or "oos"}) + "\n" for row in rows)
    )
    return path


def test_every_form_of_file_is_read(tmp_path: Path) -> None:
    jsonl(tmp_path / "one_train.jsonl", [Labelled("do a", "a"), Labelled("do b", "b")])
    jsonl(tmp_path / "one_test.jsonl", [Labelled("test a", "a"), Labelled("nothing", "")])
    with (tmp_path / "two.csv").open("w", newline="") as opened:
        csv.writer(opened).writerows([["text", "category"], ["with, comma", "x"], ["y", "y"]])
    document = {
        "train": [["t", "a"]],
        "val": [["v", "a"]],
        "oos_train": [["o", "oos"]],
        "oos_val": [["p", "oos"]],
    }
    (tmp_path / "three_train_val.json").write_text(json.dumps(document))
    (tmp_path / "four.json").write_text(json.dumps([{"text": "t", "intent": "i", "split": "test"}]))
    found = read([tmp_path])
    assert not found.problems
    sets = {one.name: one.parts for one in found.sets}
    assert sets["one"] == {
        "train": [("do a", "a"), ("do b", "b")],
        "val": [],
        "test": [("test a", "a"), ("nothing", "")],
    }
    assert sets["two"]["train"] == [("with, comma", "x"), ("y", "y")]
    assert sets["three"] == {"train": [("t", "a"), ("o", "")], "val": [("v", "a"), ("p", "")], "test": []}
    assert sets["four"]["test"] == [("t", "i")]


def test_bad_lines_are_named_and_the_rest_is_read(tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    lines = [
        b'{"text":"a","label":"x"}',
        b"{",
        b'{"text":1,"label":"x"}',
        b'{"text":"b"}',
        b"[1,2,3]",
        b"[" * 9000,
    ]
    path.write_bytes(b"\n".join([*lines, b'{"text":"c","label":"y"}']))
    found = read([path])
    assert [row.text for row in found.sets[0].parts["train"]] == ["a", "c"]
    assert [problem.line for problem in found.problems] == [2, 3, 4, 5, 6]
    path.write_bytes(b"\xff\xfe\x00")
    assert len(read([path]).problems) == 1
    with pytest.raises(KarlError, match="there is no"):
        read([tmp_path / "absent"])


def test_a_test_prompt_that_is_an_exemplar_too_is_left_out(tmp_path: Path) -> None:
    jsonl(tmp_path / "s_train.jsonl", [Labelled("Do  A", "a"), Labelled("do b", "b")])
    jsonl(tmp_path / "s_test.jsonl", [Labelled("do a", "a"), Labelled("new", "a")])
    found = read([tmp_path])
    assert found.twice == 1
    assert [row.text for row in found.sets[0].parts["test"]] == ["new"]


@settings(max_examples=40, deadline=None)
@given(per_class=st.integers(1, 40), seed=st.integers(0, 5), val=st.integers(0, 3), test=st.integers(0, 3))
def test_nothing_is_in_two_parts_of_a_split(per_class: int, seed: int, val: int, test: int) -> None:
    given_set = made_set(val=val, test=test)
    for part, rows in given_set.parts.items():
        rows += [Labelled(f"{part} {text}", "") for text in STRANGE]
    found = split(given_set, per_class, seed)
    parts = [set(rows) for rows in found.texts]
    rows = [id(row) for one in found.texts for row in one]
    assert len(rows) == len(set(rows))
    assert found.part == ("test" if test else "val" if val else "train")
    assert all(row.label for row in parts[0] | parts[2])
    assert not any(row.label for row in parts[1] | parts[3])
    counts = [sum(row.label == f"skill_{skill}" for row in found.exemplars) for skill in range(4)]
    assert all(1 <= count <= per_class for count in counts)
    assert found.tested
    assert found == split(given_set, per_class, seed)


def test_measures_of_a_ranking_made_by_hand() -> None:
    logs = np.log(
        np.array([[0.7, 0.2, 0.1], [0.5, 0.3, 0.2], [0.1, 0.1, 0.8], [0.4, 0.35, 0.25]], np.float32)
    )
    labels = np.array([0, 1, 2, 2], dtype=np.intp)
    assert ranks(logs, labels).tolist() == [1, 2, 1, 3]
    draws = Draws([str(place) for place in range(4)], draws=50)
    fits, strange = np.array([4, 3, 2, 1], np.float32), np.array([2.5, 0], np.float32)
    found = measure(logs, labels, fits, strange, draws)
    assert found.accuracy.value == 0.5
    assert found.top3.value == 1
    assert found.mrr.value == pytest.approx((1 + 1 / 2 + 1 + 1 / 3) / 4, abs=1e-6)
    assert found.oos_auroc is not None
    assert found.oos_auroc.value == pytest.approx(6 / 8)
    assert found.coverage.value == 0.5  # the two surest are right, the third is not
    assert measure(logs, labels, fits, strange[:0], draws).oos_auroc is None


def test_labels_of_equal_chance_count_as_the_last_of_them() -> None:
    assert ranks(np.zeros((1, 5), np.float32), np.array([0])).tolist() == [5]


def test_rules_of_names_find_their_words_and_escape_what_is_no_word() -> None:
    scores = Rules(["card_arrival", "card.(lost", "***"]).scores(["my lost CARD", "arrival", "none"])
    assert scores.argmax(axis=1).tolist()[:2] == [1, 0]
    assert not scores[2].any()
    assert not scores[:, 2].any()


def test_every_head_is_assessed_beside_the_baselines() -> None:
    given_set = made_set(test=12)
    given_set.parts["test"] += [Labelled(text, "") for text in STRANGE]
    (report,) = assess([given_set], {"made": vectors}, per_class=(2, 6), draws=50, seed=0)
    assert (report.part, report.labels, report.strange) == ("test", 4, 12)
    heads = [(row.per_class, row.encoder, row.head) for row in report.rows]
    one = [("-", "regex"), ("-", "lexical"), ("made", "centroid"), ("made", "hybrid"), ("made", "logistic")]
    assert heads == [(count, *names) for count in (2, 6) for names in one]
    best = report.rows[-1]
    assert best.measured.accuracy.value > 0.9
    assert best.measured.oos_auroc is not None
    assert best.over_centroid is not None
    assert best.over_lexical is not None
    assert best.threshold is not None
    assert report.rows[0].threshold is None
    again = assess([given_set], {"made": vectors}, per_class=(2, 6), draws=50, seed=0)
    assert again == [report]


#: Descriptions of the made skills, in four of their words each.
ENTRIES = [
    SkillEntry(
        f"skill_{skill}",
        " ".join(f"{'abcd'[skill]}{word}{skill}x" for word in ("red", "fog", "cat", "east")),
    )
    for skill in range(4)
]


def test_with_descriptions_prompts_are_routed_from_no_exemplar_on() -> None:
    given_set = made_set(each=6)
    skills = {entry.name: own_words(entry) for entry in [*ENTRIES, SkillEntry("other", "Nobody asks for it")]}
    (report,) = assess([given_set], {"made": vectors}, per_class=(0, 3), draws=50, seed=0, skills=skills)
    assert (report.labels, report.described, report.unknown) == (5, 5, 0)
    chosen = {row.per_class: row for row in report.rows if row.chosen}
    assert {count: row.head for count, row in chosen.items()} == {0: "hybrid", 3: "mixed"}
    assert chosen[0].exemplars == 0
    assert (chosen[0].tested, chosen[3].tested) == (24, 12)
    assert chosen[0].measured.accuracy.value > 0.5
    assert chosen[3].measured.accuracy.value > 0.75
    assert chosen[3].over_centroid is not None


def test_labels_that_are_no_skill_are_counted_and_plugins_names_are_understood() -> None:
    given_set = LabelledSet("made")
    given_set.parts["train"] = [
        Labelled("a b", "skill_0"),
        Labelled("c d", "tools:Skill_1"),
        Labelled("e", "?"),
    ]
    skills = {entry.name: own_words(entry) for entry in ENTRIES}
    found = named(given_set, frozenset(skills))
    assert [row.label for row in found.parts["train"]] == ["skill_0", "skill_1", "?"]
    twice = frozenset({"a:same", "b:same"})
    assert (
        named(LabelledSet("m", {"train": [Labelled("x", "same")]}), twice).parts["train"][0].label == "same"
    )
    (report,) = assess([given_set], {}, per_class=(0,), draws=50, seed=0, skills=skills)
    assert (report.tested, report.unknown) == (2, 1)


def test_plain_centroids_get_a_description_whole_or_the_name() -> None:
    words = [*own_words(SkillEntry("a-b", "Does it", "when asked")), *own_words(SkillEntry("c-d"))]
    assert [(one.skill, one.text) for one in plain_words(words)] == [
        ("a-b", "Does it\nwhen asked"),
        ("c-d", "c d"),
    ]


def test_a_skill_that_is_null_is_out_of_scope(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    path.write_text('{"prompt": "p", "skill": "s"}\n{"prompt": "q", "skill": null}\n')
    assert read([path]).sets[0].parts["train"] == [("p", "s"), ("q", "")]


def test_the_command_takes_a_list_of_skills_and_says_what_is_chosen(tmp_path: Path) -> None:
    pytest.importorskip("wordllama", reason="there is no wheel of it here")
    path = jsonl(tmp_path / "asked.jsonl", [*made_set(each=4).parts["train"], Labelled("who", "nobody")])
    skills = tmp_path / "skills.jsonl"
    skills.write_text(
        "".join(json.dumps({"name": one.name, "description": one.description}) + "\n" for one in ENTRIES)
    )
    asked = (
        "routing",
        "evaluate",
        str(path),
        "--skills",
        str(skills),
        "--draws",
        "50",
        "--encoder",
        "static",
    )
    shown = karl(tmp_path / "data", *asked)
    assert shown.exit_code == 0, shown.output
    for word in ("4 skills have descriptions", "hybrid *"):
        assert word in shown.output
    told = json.loads(karl(tmp_path / "data", *asked, "--per-class", "0", "--json").stdout)
    assert [row["head"] for row in told["sets"][0]["rows"] if row["chosen"]] == ["hybrid"]
    assert karl(tmp_path, "routing", "evaluate", str(path), "--per-class", "0").exit_code == 2
    assert karl(tmp_path, *asked[:3], "--skills", str(tmp_path / "absent")).exit_code == 1
    skills.write_text("{")
    assert karl(tmp_path, *asked).exit_code == 1
    assert read_skills([skills], tmp_path).problems


def test_a_shuffled_labelling_is_found_to_be_worth_nothing() -> None:
    given_set = made_set(test=12)
    chance = random.Random(1)
    for rows in given_set.parts.values():
        rows[:] = [row._replace(label=f"skill_{chance.randrange(4)}") for row in rows]
    (report,) = assess([given_set], {"made": vectors}, per_class=(20,), draws=50, seed=0)
    assert report.rows[-1].measured.accuracy.value < 0.5


def test_the_command_shows_a_table_and_json_and_exits_by_what_it_could_read(tmp_path: Path) -> None:
    given_set = made_set(test=6)
    paths = [
        jsonl(tmp_path / "made_train.jsonl", given_set.parts["train"]),
        jsonl(
            tmp_path / "made_test.jsonl", [*given_set.parts["test"], *(Labelled(one, "") for one in STRANGE)]
        ),
    ]
    pytest.importorskip("tokenizers", reason="there is no wheel of it here")
    pytest.importorskip("wordllama", reason="there is no wheel of it here")
    asked = (
        "routing",
        "evaluate",
        *map(str, paths),
        "--per-class",
        "3",
        "--draws",
        "50",
        "--encoder",
        "static",
    )
    shown = karl(tmp_path / "data", *asked)
    assert shown.exit_code == 0, shown.output
    for word in (
        "made",
        "4 labels",
        "the test part",
        "12 out of scope",
        "logistic",
        "regex",
        "static",
        "let through",
    ):
        assert word in shown.output
    told = karl(tmp_path / "data", *asked, "--json")
    document = json.loads(told.stdout)
    assert document["encoders"]["static"]["dim"] == 256
    assert document["sets"][0]["rows"][-1]["head"] == "logistic"
    with paths[0].open("a") as opened:
        opened.write("{\n")
    bad = karl(tmp_path / "data", *asked)
    assert bad.exit_code == 1
    assert "made_train.jsonl:121" in bad.output


def test_what_is_asked_for_wrongly_ends_with_two_or_one(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "one.jsonl", [Labelled("a", "only")])
    assert karl(tmp_path, "routing", "evaluate", str(path), "--per-class", "0,x").exit_code == 2
    assert karl(tmp_path, "routing", "evaluate").exit_code == 2
    assert karl(tmp_path, "routing", "evaluate", str(path), "--encoder", "nonsense").exit_code == 2
    assert karl(tmp_path, "routing", "evaluate", str(tmp_path / "absent")).exit_code == 1
    nothing = karl(tmp_path, "routing", "evaluate", str(path), "--per-class", "1")
    assert nothing.exit_code == 1
    assert "no set of two labels" in nothing.output


def test_without_any_encoder_words_are_looked_at_and_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("karl.encoders.choose.find_spec", lambda _name: None)
    path = jsonl(tmp_path / "made.jsonl", made_set().parts["train"])
    asked = ("routing", "evaluate", str(path), "--per-class", "3", "--draws", "50")
    shown = karl(tmp_path / "data", *asked)
    assert shown.exit_code == 0, shown.output
    assert "karl-ledger[embed]" in shown.output
    assert "lexical" in shown.output
    named = karl(tmp_path / "data", *asked, "--encoder", "minilm")
    assert named.exit_code == 1
    assert "karl-ledger[embed]" in str(named.exception)


def test_on_real_sets_heads_beat_words_alone_and_strangers_fit_worse(real_data: Path, tmp_path: Path) -> None:
    static = pytest.importorskip("karl.encoders.static", reason="there is no wheel of it here").Static()
    with tarfile.open(real_data / "fixtures.tar.xz") as archive:
        for member in archive:
            if "/intent/" in member.name and member.isfile():
                archive.extract(member, tmp_path, filter="data")
    found = read([tmp_path])
    assert found.sets
    assert not found.problems
    for one in found.sets:  # as many labels as a test has time for
        labels = sorted({row.label for row in one.parts["train"]})[:31]
        one.parts = {part: [row for row in rows if row.label in labels] for part, rows in one.parts.items()}
    reports = assess(found.sets, {"static": static.encode}, per_class=(5,), draws=50, seed=0)
    for report in reports:
        by_head = {row.head: row for row in report.rows}
        best = by_head["logistic"]
        assert best.over_lexical is not None
        assert best.over_lexical.low is not None
        assert best.over_lexical.low > 0
        assert by_head["lexical"].measured.accuracy.value > by_head["regex"].measured.accuracy.value
        if best.measured.oos_auroc is not None:
            assert best.measured.oos_auroc.value > 0.85
