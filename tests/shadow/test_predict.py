"""Predictions: both routers, and what a policy makes of them."""

from __future__ import annotations

import msgspec
import pytest

from karl.encoders.static import Static
from karl.routing import model
from karl.routing.policy import Catalogue, Policy
from karl.routing.predict import Asked, Predictor
from karl.routing.router import Router
from karl.schema.routing import Rule, SkillEntry
from tests.shadow.conftest import CATALOGUE

PROMPTS = [Asked("deploy the service to production"), Asked("translate the manual into french")]


@pytest.fixture(scope="module")
def router(router_data: bytes) -> Router:
    return model.loads(router_data)


def test_without_vectors_the_rules_are_alone(router: Router) -> None:
    for predictor in (Predictor(CATALOGUE, Policy()), Predictor(CATALOGUE, Policy(), router)):
        found = predictor.predict(PROMPTS)
        assert [one.regex for one in found] == ["deploy", None]
        assert [one.choice for one in found] == [None, None]
        assert [one.picked for one in found] == ["deploy", None]


def test_no_prompts_have_no_predictions(router: Router) -> None:
    assert Predictor(CATALOGUE, Policy(), router).predict([], Static().encode([])) == []


def test_a_policy_says_whose_word_counts_for_a_skill(router: Router) -> None:
    vectors = Static().encode([one.text for one in PROMPTS])
    shadow = Predictor(CATALOGUE, Policy(), router).predict(PROMPTS, vectors)
    ready = Predictor(CATALOGUE, Policy(ready=("translate",)), router).predict(PROMPTS, vectors)
    first = [one.choice.ranked[0].skill for one in shadow if one.choice]
    assert first == ["deploy", "translate"]
    assert shadow[1].choice is not None
    assert shadow[1].choice.takes
    assert [one.picked for one in shadow] == ["deploy", None]
    assert [one.picked for one in ready] == ["deploy", "translate"]
    assert [one.choice for one in ready] == [one.choice for one in shadow]


def test_a_projects_own_skill_is_nobodys_pick_elsewhere(router: Router) -> None:
    skills = (SkillEntry(name="deploy", project="shop"), *CATALOGUE.skills[1:])
    catalogue = msgspec.structs.replace(CATALOGUE, skills=skills)
    asked = [Asked(PROMPTS[0].text, project) for project in ("shop", "bank")]
    vectors = Static().encode([one.text for one in asked])
    here, there = Predictor(catalogue, Policy(ready=("deploy",)), router).predict(asked, vectors)
    assert (here.regex, here.picked) == ("deploy", "deploy")
    assert (there.regex, there.picked) == (None, None)
    assert here.choice is not None
    assert there.choice is not None
    assert here.choice.ranked[0].skill == "deploy"
    assert "deploy" not in {one.skill for one in there.choice.ranked}
    assert not there.choice.takes
    assert len(here.choice.ranked) == 3


def test_a_skill_that_is_everybodys_too_is_so_whatever_projects_have_it() -> None:
    skills = (SkillEntry(name="deploy", project="shop"), SkillEntry(name="deploy"))
    catalogue = Catalogue(skills, (Rule("deploy", "deploy"),))
    assert Predictor(catalogue, Policy()).predict([Asked("deploy", "bank")])[0].picked == "deploy"
