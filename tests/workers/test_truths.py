"""From the hook's events to the truth about a prompt: a real server, the real workers, predictions beside them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from redis import Redis

from karl.schema.routing import ExemplarBody, RankedSkill, ShadowBody
from karl.views.rebuild import begin, compare
from karl.views.routing import Routed
from tests.workers.conftest import Feed, Line
from workers.records import Outgoing, send


class Watched:
    """A line whose views are asked about routing."""

    def __init__(self, line: Line, redis: Redis) -> None:
        self.line, self.redis = line, redis
        self.worker = line.sessions(version="2")
        self.views = line.folder.parent / "views" / "views.sqlite"
        self.views.parent.mkdir(parents=True)
        begin(self.views, "2")

    def predict(self, feed: Feed, event: str, skill: str) -> None:
        body = ShadowBody(
            event, feed.session, "default", "n1", "claude-code", "p", 1, 2, "live", regex=skill,
            ranked=(RankedSkill(skill, 0.9),), takes=True,
        )  # fmt: skip
        send(self.redis, [Outgoing("shadow", feed.session, body)], lambda _s: None)

    def routed(self) -> Routed:
        self.line.drain(self.worker)
        self.line.catch_up(self.views)
        assert compare(self.views, self.line.folder, "2").equal
        return Routed(self.views)


@pytest.fixture
def watched(line: Line, redis: Redis) -> Watched:
    return Watched(line, redis)


def used(feed: Feed, text: str, *skills: str, told: str = "", late: bool = False) -> str:
    """Play a turn that calls skills; gives the id of the prompt's event."""
    suggestion = {"skill": told, "chance": 0.9, "policy": "d1", "told": True}
    prompt = feed.prompt(text)
    if told and not late:
        feed.event("SkillSuggested", **suggestion)
    for name in skills:
        feed.call("Skill", skill=name)
    feed.stop()
    if told and late:
        feed.event("SkillSuggested", **suggestion)
    return prompt.id


@pytest.mark.parametrize("first", ["prediction", "turn"])
def test_a_prediction_of_a_live_prompt_is_held_against_what_the_agent_used(
    first: str, watched: Watched, feed: Callable[..., Feed]
) -> None:
    one = feed("s-one")
    if first == "prediction":
        event = one.prompt("get it out").id
        watched.predict(one, event, "review")
        watched.routed().close()
        one.call("Skill", skill="ship")
        one.stop()
    else:
        event = used(one, "get it out", "ship")
        watched.routed().close()
        watched.predict(one, event, "review")
    with watched.routed() as views:
        (row,) = views.shadows()
        (truth,) = views.truths()
    assert (row.truth, row.truth_source, row.regex, row.prompt) == ("ship", "called", "review", "get it out")
    assert (row.trajectory, row.organic) == (truth.trajectory, True)


@pytest.mark.parametrize("late", [False, True])
def test_a_prompt_of_which_the_agent_was_told_is_no_evidence(
    late: bool, watched: Watched, feed: Callable[..., Feed]
) -> None:
    one = feed("s-one")
    used(one, "what is this?")
    event = used(one, "get it out", "ship", told="ship", late=late)
    watched.predict(one, event, "ship")
    with watched.routed() as views:
        (row,) = views.shadows()
        (told,) = views.suggestions()
        truths = [(truth.skill, truth.influenced) for truth in views.truths()]
    assert (row.truth, row.influenced, row.organic) == ("ship", True, False)
    assert (told.trajectory, told.used, told.told) == (row.trajectory, ("ship",), True)
    assert truths == [(None, False), ("ship", True)]


def test_what_a_person_says_next_moves_the_truth_to_the_skill_that_follows(
    watched: Watched, feed: Callable[..., Feed]
) -> None:
    one = feed("s-one")
    used(one, "get it out", "ship")
    used(one, "no, that is wrong, I meant a review first", "review")
    with watched.routed() as views:
        first, second = views.truths()
        states = {state.skill: (state.activations, state.suppressed) for state in views.skill_states()}
    assert (first.skill, first.source, first.corrected) == ("review", "corrected", True)
    assert (second.skill, second.source) == ("review", "called")
    assert states == {"ship": (1, 1), "review": (1, 0)}


def test_exemplars_go_through_the_line_like_all_records(watched: Watched) -> None:
    for removed in (False, True, False):
        body = ExemplarBody("e1", "ship", "get it out", "ann", 5, removed=removed)
        send(watched.redis, [Outgoing("exemplar", "routing", body)], lambda _s: None)
    with watched.routed() as views:
        assert [row.id for row in views.exemplars("ship")] == ["e1"]
        assert views.counts().records == 3
