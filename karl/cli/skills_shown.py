"""What the commands about skills print."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import click

from karl.cli.moments import age, moment
from karl.cli.render import one_line, plain, print_table
from karl.cli.rules import shown
from karl.skills.decay import advice

if TYPE_CHECKING:
    from karl.schema.routing import Rule
    from karl.skills.decay import Advice
    from karl.skills.merge import Placed
    from karl.skills.told import Problem
    from karl.views.routing_rows import SkillState
    from workers.skills import PlaceReport, Scan

#: Problems that are named; --json has all.
_NAMED_MAX = 12
_ADVICE = {
    "disable": "disable it: turns with it go badly",
    "archive": "archive it: unused for 60 days, and it never did well",
    "warn": "look at it: it did not do well, and is unused for 30 days",
    "candidate": "let the vector router decide about it",
}


def advised(state: SkillState, now: int) -> Advice | None:
    """Say what might be done about a skill; `now` is Unix time (ms)."""
    return advice(
        activations=state.activations,
        useful=state.useful,
        confidence=state.confidence,
        last_ms=state.last_ms,
        now_ms=now,
    )


def print_scan(found: Scan, *, dry_run: bool) -> None:
    """Print what a scan found, place by place."""
    if not found.places:
        click.echo("there is nothing to read; KARL_SKILLS_DIR names the folders, or name them here")
        return
    rows = [
        (one.place, one.project, one.skills, one.rules, _what(one, dry_run=dry_run)) for one in found.places
    ]
    print_table(("place", "project", "skills", "rules", ""), rows, short=("place",))
    problems = [problem for one in found.places for problem in one.problems if problem.lost or one.changed]
    _print_problems(sorted(problems, key=lambda problem: not problem.lost))
    if hidden := sum(one.redacted for one in found.places):
        click.echo(f"secrets that were taken out: {hidden:,}", err=True)


def print_skills(known: Sequence[Placed], rules: Mapping[str, int], hidden: Sequence[Placed]) -> None:
    """Print skills as a table, with how many rules each has; and name those that others stand before."""
    rows = [
        (
            one.skill.name,
            one.skill.project,
            one.place,
            rules.get(one.skill.name, 0),
            one_line(one.skill.description, 90),
        )
        for one in known
    ]
    columns = ("skill", "project", "place", "rules", "description")
    print_table(
        columns, rows, title=f"{len(rows):,} skills", whole=("skill",), short=("place", "description")
    )
    for one in hidden[:_NAMED_MAX]:
        name, place = plain(one.skill.name), plain(one.place)
        click.echo(f"note: {place} says otherwise of {name}, and does not count", err=True)
    if len(hidden) > _NAMED_MAX:
        click.echo(f"and {len(hidden) - _NAMED_MAX:,} more", err=True)


def print_skill(
    found: Sequence[Placed],
    others: Sequence[Placed],
    rules: Sequence[Rule],
    states: Sequence[SkillState],
    now: int,
) -> None:
    """Print the skills of one name: what they say, those that do not count, rules, and how it does."""
    for one in found:
        _print_one(one)
    for one in others:
        click.echo(f"another one of this name, in {plain(one.place)}, does not count")
    if rules:
        click.echo()
        rows = [(shown(rule), rule.weight, rule.project, rule.origin) for rule in rules]
        print_table(("pattern", "weight", "project", "told by"), rows)
    for state in states:
        click.echo(f"\n{_did(state, now)}")


def print_states(states: Sequence[SkillState], now: int) -> None:
    """Print how skills do as a table, and what might be done about each."""
    rows = [
        (
            state.skill,
            state.activations,
            state.useful,
            state.suppressed,
            state.confidence,
            age((now - state.last_ms) / 1000),
            advised(state, now) or "",
            ", ".join(state.hot[:5]),
            ", ".join(state.cold[:5]),
        )
        for state in states
    ]
    columns = ("skill", "turns", "useful", "corrected", "confidence", "last", "advice", "hot", "cold")
    print_table(columns, rows, whole=("skill", "advice"), short=("hot", "cold"))
    for state in states:
        if what := advised(state, now):
            click.echo(f"{plain(state.skill)}: {_ADVICE[what]}")


def _print_one(told: Placed) -> None:
    skill = told.skill
    click.echo(plain(skill.name))
    who = [
        "the model" if skill.model_invocable else "",
        "a person" if skill.user_invocable else "",
    ]
    facts = {
        "from": f"{told.place} on {told.node}",
        "project": skill.project,
        "started by": " or ".join(part for part in who if part) or "nobody",
        "description": skill.description,
        "when": skill.when,
        "digest": skill.digest[:16],
    }
    for name, value in facts.items():
        if value:
            click.echo(f"  {name + ':':<13} {plain(' '.join(value.split()))}")
    for example in skill.examples:
        click.echo(f"  {'example:':<13} {one_line(example, 140)}")


def _did(state: SkillState, now: int) -> str:
    what = advised(state, now)
    return (
        f"turns that used it: {state.activations:,} ({state.useful:,} useful, {state.suppressed:,} corrected)"
        f"; confidence {state.confidence:.2f}; last {moment(state.last_ms)}"
        + (f"\nhot: {plain(', '.join(state.hot))}" if state.hot else "")
        + (f"\ncold: {plain(', '.join(state.cold))}" if state.cold else "")
        + (f"\nadvice: {_ADVICE[what]}" if what else "")
    )


def _what(one: PlaceReport, *, dry_run: bool) -> str:
    if one.is_gone:
        return "is gone" + (", would be told" if dry_run else ", told")
    if not one.changed:
        return "as before" if one.skills or one.rules else "empty"
    return "would be told" if dry_run else "told"


def _print_problems(problems: Sequence[Problem]) -> None:
    for problem in problems[:_NAMED_MAX]:
        lost = "" if problem.lost else "note: "
        click.echo(f"{lost}{plain(problem.where)}: {plain(problem.why)}", err=True)
    if len(problems) > _NAMED_MAX:
        click.echo(f"and {len(problems) - _NAMED_MAX:,} more (--json names all)", err=True)
