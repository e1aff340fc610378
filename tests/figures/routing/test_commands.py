"""The commands over routing, on real views of a made ledger with a real router."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from karl.cli.table import COMMANDS
from karl.ledger.writer import Draft
from karl.routing import model
from karl.routing.router import Exemplar, train
from karl.schema.routing import RankedSkill, RouterBody, RoutingBody, ShadowBody, ShadowSource
from karl.views.rebuild import rebuild
from tests.cli.running import karl
from tests.views import ledgers, routed

HOUR_MS = 3_600_000
START_MS = 1_790_000_000_000
SKILLS = ("docx", "pdf", "release", "review", "test", "xlsx")
FIGURES = (
    "accuracy",
    "accuracy-trend",
    "accuracy-source",
    "accuracy-forecast",
    "log-accuracy",
    "confusion",
    "confusion-resolve",
    "hard-negatives",
    "skill-breakdown",
    "skill-evolution",
    "log-skill-evolution",
    "skill-matrix",
    "merge-candidates",
    "confidence-analysis",
    "lift-analysis",
    "lift-sim",
    "organic-status",
)


def turn(number: int, skill: str | None, *, told: bool | None = None, **facts: Any) -> Draft:
    """A closed turn of a person's prompt, which called a skill, or none; two turns a session."""
    session = f"s{number // 2}"
    more = [] if told is None else [routed.suggestion(f"g{number}", session, skill or "", told=told)]
    known = {"prompt": f"please do the thing number {number}", **facts}
    return routed.turn(session, number % 2, *([skill] if skill else []), more=more, **known)


def said(
    number: int,
    ranked: Sequence[str],
    *,
    source: ShadowSource = "live",
    regex: str | None = None,
    router: str = "f" * 64,
    agent: str = "claude-code",
) -> Draft:
    """What both routers said of the prompt of a turn."""
    chances = (0.5 + number % 40 / 100, 0.3, 0.1)
    body = ShadowBody(
        event=f"ev-s{number // 2}-{number % 2}", session=f"s{number // 2}", fleet="default", node="n1", agent=agent, project="shop",
        time_ms=START_MS + number * HOUR_MS, made_ms=START_MS + number * HOUR_MS + 20, source=source, rules="r",
        router=router, encoder="made", regex=regex, takes=number % 10 != 0, fit=float(number % 7), picked=regex,
        ranked=tuple(RankedSkill(*one) for one in zip(ranked, chances, strict=False)), took_us=900,
    )  # fmt: skip
    return Draft("shadow", msgspec.json.encode(body))


def a_router() -> bytes:
    """A router of six skills, two of which lie near each other."""
    random = np.random.default_rng(7)
    base = np.eye(6, 16, dtype=np.float32)
    base[1] = base[0] + 0.1 * base[1]
    exemplars, vectors = [], []
    for place, skill in enumerate(SKILLS):
        for number in range(6):
            exemplars.append(Exemplar(skill, f"{skill} exemplar {number}"))
            vectors.append(base[place] + 0.01 * random.standard_normal(16))
    matrix = np.array(vectors, dtype=np.float32)
    matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
    return model.dumps(train(exemplars, matrix, encoder="made", encoder_version="1"))


def in_use(router: str) -> list[Draft]:
    trained = RouterBody(
        router, "bootstrap", "made", "1", "logistic", 0, SKILLS, dict.fromkeys(SKILLS, 6), (), {}, {}, 100, "n1",
        START_MS,
    )  # fmt: skip
    use = RoutingBody("d1", "use", "shadow", router, "somebody", "n1", START_MS)
    return [Draft("router", msgspec.json.encode(trained)), Draft("routing", msgspec.json.encode(use))]


def kept(folder: Path) -> str:
    """Keep a router's file where commands look for it; gives its id."""
    from karl.settings import Settings
    from workers.routers import keep

    return keep(Settings(data_dir=folder), a_router())


def story(router: str) -> list[Draft]:
    """A hundred prompts: 80 for six skills, a quarter of docx' taken for pdf; 16 for none; four not closed."""
    drafts = in_use(router)
    for number in range(100):
        skill = SKILLS[number % 6] if number < 80 else None
        first = "pdf" if skill == "docx" and number % 4 == 0 else skill or "test"
        rest = [one for one in SKILLS if one != first]
        drafts.append(said(number, (first, skill if skill and skill != first else rest[0], rest[1]), router=router,
                           regex=skill if number % 3 == 0 else None))  # fmt: skip
        if number < 96:
            drafts.append(turn(number, skill, reward=0.8 if first == skill else 0.5))
    drafts += [said(number, ("test",), source="replayed", router="e" * 64) for number in range(30)]
    return [*drafts, *(said(number, ("pdf",), source="synthetic", router="d" * 64) for number in range(25))]


def made(folder: Path, drafts: list[Draft]) -> Path:
    ledgers.write(folder / "ledger", drafts)
    rebuild(folder / "views" / "views.sqlite", folder / "ledger", "1")
    return folder


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("routed")
    return made(folder, story(kept(folder)))


def shown(data_dir: Path, *arguments: str) -> Any:
    result = karl(data_dir, *arguments, "--json", KARL_REWARD_VERSION="1")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_accuracy_counts_what_the_views_joined(told: Path) -> None:
    found = shown(told, "accuracy", "--by", "none")
    assert (found["asked"], found["none"], found["left_out"]["waiting"]) == (80, 16, 4)
    (whole,) = found["groups"]
    wrong = sum(number % 6 == 0 and number % 4 == 0 for number in range(80))
    assert whole["ranking"]["first"]["hits"] == 80 - wrong
    assert whole["ranking"]["top3"]["hits"] == 80
    assert whole["ways"]["regex"]["right"]["hits"] == sum(number % 3 == 0 for number in range(80))
    assert whole["ways"]["vector"]["false"]["n"] == 16
    assert whole["over_regex"]["low"] > 0


def test_a_time_and_a_group_narrow_what_is_looked_at(told: Path) -> None:
    assert shown(told, "accuracy", "--until", "2026-09-22T00:00:00+00:00")["asked"] < 80
    assert shown(told, "accuracy", "--days", "1", "--until", "2026-09-23T00:00:00+00:00")["asked"] < 40
    assert [one["name"] for one in shown(told, "accuracy", "--by", "truth")["groups"]] == [
        None,
        "called",
        "unused",
    ]
    assert shown(told, "accuracy", "--router", "abc")["asked"] == 0
    assert "fits these conditions" in karl(told, "accuracy", "--router", "abc").stderr
    assert "fits these conditions" in karl(told, "confusion", "--project", "nowhere").stderr


def test_sources_stand_by_themselves(told: Path) -> None:
    found = shown(told, "accuracy-source")["sources"]
    assert [found[name]["asked"] for name in ("live", "replayed", "synthetic")] == [80, 30, 25]
    assert found["synthetic"]["accuracy"]["ranking"]["first"]["hits"] == sum(n % 6 == 1 for n in range(25))
    result = karl(told, "accuracy", "--source", "synthetic")
    assert "no evidence" in result.stderr


def test_confusion_names_the_pair_and_its_remedy(told: Path) -> None:
    pairs = shown(told, "confusion")["confusion"]["pairs"]
    assert [(one["truth"], one["picked"], one["errors"]["hits"]) for one in pairs] == [("docx", "pdf", 7)]
    (advice,) = shown(told, "confusion-resolve")["pairs"]
    assert advice["cosine"] > 0.9
    assert (advice["exemplars"], advice["strategy"]) == ([6, 6], "refine_centroids")
    found = shown(told, "hard-negatives")
    assert found["pairs"][0]["prompts"][0]["prompt"].startswith("please do the thing")
    assert [one["picked"] for one in found["false"]] == ["test"]


def test_the_matrix_is_the_routers_in_use(told: Path) -> None:
    found = shown(told, "skill-matrix")
    assert found["skills"] == list(SKILLS)
    assert [found["cosines"][place][place] for place in range(6)] == pytest.approx([1] * 6, abs=1e-5)
    assert [(one["one"], one["other"]) for one in found["layout"]["near"]] == [("docx", "pdf")]
    (pair,) = shown(told, "merge-candidates")["pairs"]
    assert (pair["pair"]["one"], pair["verdict"]) == ("docx", "keep")
    assert shown(told, "diversity")["centroids"]["near"][0]["other"] == "pdf"


def test_skills_days_and_forecasts_are_given(told: Path) -> None:
    skills = shown(told, "skill-breakdown")["skills"]
    assert (skills[0]["skill"], skills[0]["errors"]) == ("docx", 7)
    evolution = shown(told, "skill-evolution", "--skill", "docx", "--every", "1")["skills"]
    assert sum(each["first"]["n"] for each in evolution[0]["periods"]) == skills[0]["prompts"]
    days = shown(told, "accuracy-trend", "--days", "10", "--until", "2026-09-26")
    assert sum(day["first"]["n"] for day in days["days"]) == 80
    assert [
        one["n"] for one in shown(told, "accuracy-forecast", "--target", "300")["forecast"]["expected"]
    ] == [
        200,
        300,
        500,
        1000,
    ]


def test_confidence_and_difficulty_are_of_the_prompts(told: Path) -> None:
    found = shown(told, "confidence-analysis", "--draws", "50")["confidence"]
    assert (found["asked"], found["none"], found["right"]) == (80, 16, 73)
    assert found["truth"]["brier"]["value"] > 0
    hard = shown(told, "difficulty", "--prompts", "--limit", "3")
    assert len(hard["prompts"]) == 3
    assert hard["prompts"][0]["prompt"].startswith("please do the thing")


def test_lift_is_observational_unless_agents_were_told(told: Path, tmp_path: Path) -> None:
    found = shown(told, "lift-analysis")
    assert "observational" in found["observational"]["warning"]
    assert found["told"] == []
    assert [one["agent"] for one in found["observational"]["agents"]] == ["claude-code"]
    sessions = [
        turn(n, "pdf", told=n // 2 % 2 == 0, reward=0.9 if n // 2 % 2 == 0 else 0.4) for n in range(80)
    ]
    ours = shown(made(tmp_path, [*sessions, *(said(n, ("pdf",)) for n in range(80))]), "lift-analysis")
    (agent,) = ours["told"]
    assert agent["reward"]["value"] == pytest.approx(0.5)
    # What was told of a skill is no evidence of what the router would have been right about.
    assert (ours["asked"], ours["left_out"]["influenced"]) == (40, 40)


def test_a_simulation_names_what_it_fixes(told: Path) -> None:
    assert shown(told, "lift-sim", "--fix-pairs", "docx:pdf")["simulated"]["then"]["hits"] == 80
    assert shown(told, "lift-sim", "--fix-pairs", "a:b>c, docx>pdf")["simulated"]["fixed"]["hits"] == 7
    assert karl(told, "lift-sim", "--fix-pairs", "docx").exit_code == 2
    assert "pdf was never taken for xlsx" in karl(told, "lift-sim", "--fix-pairs", "pdf:xlsx").stderr


def test_organic_status_counts_live_ones_alone(told: Path) -> None:
    result = karl(told, "organic-status", "--json", KARL_ROUTING_MIN_RECORDS="70")
    found = json.loads(result.stdout)["organic"]
    assert (found["count"], found["needed"], found["none"]) == (80, 70, 16)
    assert found["left_out"] == {"no truth yet": 4}
    assert found["agents"] == {"claude-code": 80}
    bar = karl(told, "organic-status", KARL_ROUTING_MIN_RECORDS="160").stdout
    assert bar.startswith("[" + "#" * 20 + "." * 20 + "] 80 of 160")


def test_report_and_digest_have_a_part_on_routing(told: Path, tmp_path: Path) -> None:
    for name in ("report", "health-digest"):
        routing = shown(told, name)["routing"]
        assert (routing["asked"], routing["mode"]) == (80, "shadow")
        assert "docx for pdf 7" in karl(told, name, KARL_REWARD_VERSION="1").stdout
    bare = made(tmp_path, [turn(1, "pdf")])
    assert shown(bare, "report")["routing"] is None
    assert "routing" not in karl(bare, "health-digest", KARL_REWARD_VERSION="1").stdout


def test_the_same_question_has_the_same_answer(told: Path) -> None:
    for name in FIGURES:
        if name != "organic-status":
            assert shown(told, name) == shown(told, name), name


def test_every_figure_is_shown_to_a_person_too(told: Path) -> None:
    for name in FIGURES:
        result = karl(told, name, KARL_REWARD_VERSION="1")
        assert result.exit_code == 0, (name, result.output, result.exception)
        assert result.stdout or name in LOGS, name
    assert "too few" in karl(told, "accuracy", "--until", "2026-09-21T20:00:00+00:00").stdout
    for more in (("--prompts",), ("--prompts", "--json")):
        assert karl(told, "difficulty", *more).exit_code == 0
    assert karl(told, "difficulty", "--prompts", "--by", "skill").exit_code == 2


def test_without_a_prediction_router_or_truth_it_is_said_what_to_do(tmp_path: Path) -> None:
    bare = made(tmp_path / "bare", [turn(1, "pdf")])
    waiting = made(tmp_path / "waiting", [said(1, ("pdf",))])
    silent = made(tmp_path / "silent", [said(1, ("pdf",)), turn(1, None, ended=False)])
    none = made(tmp_path / "none", [said(1, ("pdf",)), turn(1, None)])
    cases = (
        (bare, "karl bootstrap"),
        (waiting, "none of their turns"),
        (silent, "nothing says what"),
        (none, "karl annotate"),
    )
    for folder, what in cases:
        for name in FIGURES:
            for more in ((), ("--json",)):
                result = karl(folder, name, *more)
                assert result.exit_code == 0, (name, result.output, result.exception)
                if name not in {*ROUTERS, "accuracy-source", *LOGS}:
                    assert what in result.stderr, name
                if name in ROUTERS:
                    assert "karl bootstrap" in result.stderr, name
                if more:
                    assert json.loads(result.stdout)
    for name in FIGURES:
        assert karl(tmp_path / "nothing", name).exit_code == 1, name


ROUTERS = ("skill-matrix", "merge-candidates", "organic-status")
LOGS = ("log-accuracy", "log-skill-evolution", "accuracy-trend")


def test_a_router_that_is_nowhere_is_no_reason_to_say_nothing_else(tmp_path: Path) -> None:
    folder = made(tmp_path, story("c" * 64))
    assert karl(folder, "skill-matrix").exit_code == 1
    for name in ("confusion-resolve", "hard-negatives", "diversity"):
        result = karl(folder, name, KARL_REWARD_VERSION="1")
        assert result.exit_code == 0, result.output
        assert "without c" in result.stderr


def test_recorded_names_can_not_drive_the_terminal(tmp_path: Path) -> None:
    evil = "s\x1b]0;x\x07"
    drafts = [one for n in range(30) for one in (said(n, (evil, "b"), regex=evil, agent="a\x1b[2J"), turn(n, "b\x1b[31m", agent="a\x1b[2J", prompt="x\x1b[2J y"))]  # fmt: skip
    folder = made(tmp_path, drafts)
    for name in (*FIGURES, "report", "health-digest"):
        for more in ((), ("--json",)):
            result = karl(folder, name, *more, KARL_REWARD_VERSION="1")
            assert result.exit_code == 0, (name, result.output)
            assert "\x1b" not in result.output


def test_older_names_write_nothing(told: Path) -> None:
    karl(told, "accuracy", "--json")  # whoever reads first leaves what SQLite shares between readers
    before = sorted(path for path in told.rglob("*") if path.is_file())
    for name in ("log-accuracy", "log-skill-evolution"):
        result = karl(told, name, "--json")
        assert "nothing to log" in result.stderr
    assert sorted(path for path in told.rglob("*") if path.is_file()) == before


def test_the_help_of_every_figure_has_an_example() -> None:
    assert set(FIGURES) <= {row.name for row in COMMANDS if row.group == "routing" and row.reads}
    for name in FIGURES:
        assert "Example:" in karl(Path("/nonexistent"), name, "--help").output
