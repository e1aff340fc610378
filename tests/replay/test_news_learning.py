"""`karl tail` over what is held out, exported, trained, judged, decided and claimed."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.running import karl
from tests.views import ledgers
from tests.views.learned import claim, decided, evaluation, export, holdout, release, synthetic, training

HOSTILE = "x\x1b[2J\u202ey"


def story(word: str) -> list[ledgers.Draft]:
    return [
        holdout("h1", "s1", "s2", reason=word),
        release("r1", "h1"),
        export("abcdef0123456789"),
        training("t1", "abcdef0123456789", "ad1", label=word),
        training("t2", "ex1", ended="failed", curve=(), reason=word),
        evaluation("ev1", "ex1", {"advantage": ("ad1",)}, why=word),
        decided("d1", "ad1", reason=word, forced=True),
        decided("d2", "", "rollback", reason=word),
        claim("c1", "lift", word),
        claim("w1", withdrawn="c1"),
        synthetic("q1", question=word, repository=word),
        synthetic("q1", removed=True),
    ]


def test_each_record_of_learning_is_one_line_that_says_what_it_is(tmp_path: Path) -> None:
    ledgers.write(tmp_path / "ledger", story("why"))
    lines = [line[58:].strip() for line in karl(tmp_path, "tail", "--limit", "20").stdout.splitlines()]
    assert lines == [
        "2 sessions held out of training (time): why",
        "holdout h1 counts no more: no longer",
        "export abcdef012345 of lines 1 to 9: 4 rows in train.jsonl, 2 rows in valid.jsonl",
        lines[3],
        "training t2 failed: tiny with export ex1 on cpu: why",
        lines[5],
        "promote although checks said no: adapter ad1 is in use: why",
        "rollback: no adapter is in use: why",
        "claim (lift): why",
        "claim c1 withdrawn",
        "synthetic question about why c1  why",
        "no synthetic question about shop c1 any more  what changed?",
    ]
    assert lines[3] == (
        "training why done: tiny with export abcdef012345 on cpu, adapter ad1 of iteration 10, "
        "best loss in validation 2.5000"
    )
    assert lines[5] == (
        "evaluation ev1 of export ex1: lift, advantage - random in targets +0.1000 [+0.0200, +0.1800] "
        "over 4 held-out actions, 5 seeds"
    )


def test_json_names_what_each_record_is_about_and_who_said_it(tmp_path: Path) -> None:
    ledgers.write(tmp_path / "ledger", story("why"))
    out = karl(tmp_path, "tail", "--limit", "20", "--json").stdout
    news = [json.loads(line) for line in out.splitlines()]
    assert [one["about"] for one in news] == [
        "h1", "h1", "abcdef0123456789", "t1", "t2", "ev1", "ad1", "d2", "c1", "c1", "q1", "q1",
    ]  # fmt: skip
    assert {one.get("by") for one in news if one["kind"] in {"holdout", "adapter", "claim"}} == {"ann"}


def test_nothing_of_it_drives_the_terminal(tmp_path: Path) -> None:
    ledgers.write(tmp_path / "ledger", story(HOSTILE))
    shown = karl(tmp_path, "tail", "--limit", "20").stdout + karl(tmp_path, "tail", "--json").stdout
    assert "\x1b" not in shown
    assert "\u202e" not in shown
