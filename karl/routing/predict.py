"""What both routers say of prompts, and what the policy makes of it. Pure: vectors and router are given.

A skill that belongs to one project alone is nobody's pick in another.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from karl.routing.heads import Floats
from karl.routing.policy import Catalogue, Policy, decide
from karl.routing.router import Choice, Router
from karl.routing.rules import Rules

#: Skills that a prediction names.
TOP = 3


class Asked(NamedTuple):
    """A prompt as `karl.routing.text.asked` gives it, and the project that it was said in."""

    text: str
    project: str = ""


class Prediction(NamedTuple):
    """The rules' pick, the vector router's choice (null without one), and what the policy makes of both."""

    regex: str | None
    choice: Choice | None
    picked: str | None


class Predictor:
    """Routes prompts by rules, by a router where there is one, and by a policy."""

    def __init__(self, catalogue: Catalogue, policy: Policy, router: Router | None = None) -> None:
        self._policy = policy
        self._router = router
        self._rules = Rules(catalogue.rules)
        self._projects = _bound(catalogue)
        known = router.skills if router else ()
        # So many more are ranked as may fall out for being another project's.
        self._top = TOP + sum(skill in self._projects for skill in known)

    def predict(self, prompts: Sequence[Asked], vectors: Floats | None = None) -> list[Prediction]:
        """Give a prediction for each prompt.

        `vectors` (n, dim) are of the router's own encoder; without them, or without a router, the rules are
        alone.
        """
        choices: list[Choice | None] = [None] * len(prompts)
        if self._router is not None and vectors is not None and prompts:
            routed = self._router.route([one.text for one in prompts], vectors, top=self._top)
            choices = [self._of_project(one, asked) for one, asked in zip(routed, prompts, strict=True)]
        return [self._prediction(one, choice) for one, choice in zip(prompts, choices, strict=True)]

    def _prediction(self, asked: Asked, choice: Choice | None) -> Prediction:
        regex = self._rules.pick(asked.text, asked.project)
        if regex is not None and not self._serves(regex, asked.project):
            regex = None
        return Prediction(regex, choice, decide(self._policy, regex, choice))

    def _serves(self, skill: str, project: str) -> bool:
        projects = self._projects.get(skill)
        return projects is None or project in projects

    def _of_project(self, choice: Choice, asked: Asked) -> Choice:
        """Leave out skills of other projects; where the first was one, nothing that is left has fitted."""
        ranked = tuple(one for one in choice.ranked if self._serves(one.skill, asked.project))
        takes = choice.takes and ranked[:1] == choice.ranked[:1]
        return Choice(ranked[:TOP], choice.fit, takes)


def _bound(catalogue: Catalogue) -> dict[str, frozenset[str]]:
    """Give the projects of each skill that is of projects alone."""
    projects: dict[str, set[str]] = {}
    for skill in catalogue.skills:
        projects.setdefault(skill.name, set()).add(skill.project)
    return {name: frozenset(those) for name, those in projects.items() if "" not in those}
