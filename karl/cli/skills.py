"""`karl skills`: what skills there are, read from where they are; and how they do."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from karl.cli.main import pass_settings
from karl.cli.moments import age, moment, now_ms
from karl.cli.render import counting, one_line, plain, print_json, print_table
from karl.settings import Settings

if TYPE_CHECKING:
    from karl.schema.routing import Rule, SkillsBody
    from karl.skills.merge import Told
    from karl.skills.told import Place, Problem
    from karl.views.routing_rows import SkillState
    from workers.skills import Asked, PlaceReport, Scan

#: Problems that are named; --json has all.
_NAMED_MAX = 12
_ADVICE = {
    "disable": "disable it: turns with it go badly",
    "archive": "archive it: unused for 60 days, and it never did well",
    "warn": "look at it: it did not do well, and is unused for 30 days",
    "candidate": "let the vector router decide about it",
}


@click.command()
@click.argument("paths", nargs=-1, metavar="[PATH]...", type=click.Path(path_type=Path))
@click.option(
    "--project",
    "projects",
    multiple=True,
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Read a project's skills and rules; repeatable.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be told; write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with every skill and problem.")
@pass_settings
def scan(
    settings: Settings, *, paths: tuple[Path, ...], projects: tuple[Path, ...], dry_run: bool, as_json: bool
) -> None:
    """Read skills, slash commands and rules from where they are, and tell the ledger of them.

    PATH is a folder of skills, a plugin, a folder of plugins or of commands, a SKILL.md, or a file that lists
    skills (JSONL, JSON, TOML). Without PATH and --project, KARL_SKILLS_DIR is read, what agents keep beside
    it (commands, plugins, other agents' folders), and the file of rules. A place that is as it was told last
    makes no record. Nothing that is read is run, and no link is followed out of a folder.

    Ends with 1 when something that is written there could not be read, and so does not count.

    Examples: karl skills scan --dry-run; karl skills scan --project .
    """
    from workers.skills import look, tell  # noqa: PLC0415 - Redis and SQLite load when needed

    asked = _asked(settings, paths, projects)
    with counting("reading") as progress:
        found = look(settings, asked, now_ms(), progress)
    _refuse_strangers(paths, found)
    if not dry_run:
        from workers.line import line  # noqa: PLC0415

        with line(settings, "karl-skills") as redis:
            tell(redis, settings, found.bodies, time.sleep)
    if as_json:
        print_json({"places": [_place(found, at) for at in range(len(found.places))], "written": not dry_run})
    else:
        _print_scan(found, dry_run=dry_run)
    sys.exit(1 if any(problem.lost for place in found.places for problem in place.problems) else 0)


@click.command(name="list")
@click.option("--project", metavar="NAME", help="Only skills of this project, and those of all.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, descriptions whole.")
@pass_settings
def list_(settings: Settings, *, project: str | None, as_json: bool) -> None:
    """List the skills that are known, and where each is from."""
    from karl.skills.merge import merge  # noqa: PLC0415 - `--help` needs no database

    known = merge(_told(settings))
    shown = [one for one in known.told if project is None or one.skill.project in ("", project)]
    rules = _counted(known.catalogue.rules)
    if as_json:
        print_json([{**_skill(one), "rules": rules.get(one.skill.name, 0)} for one in shown])
        return
    if not shown:
        click.echo("no skills are known; `karl skills scan` reads them")
        return
    rows = [
        (
            one.skill.name,
            one.skill.project,
            one.place,
            rules.get(one.skill.name, 0),
            one_line(one.skill.description, 90),
        )
        for one in shown
    ]
    columns = ("skill", "project", "place", "rules", "description")
    print_table(
        columns, rows, title=f"{len(rows):,} skills", whole=("skill",), short=("place", "description")
    )
    for one in known.hidden[:_NAMED_MAX]:
        name, place = plain(one.skill.name), plain(one.place)
        click.echo(f"note: {place} says otherwise of {name}, and does not count", err=True)
    if len(known.hidden) > _NAMED_MAX:
        click.echo(f"and {len(known.hidden) - _NAMED_MAX:,} more", err=True)


@click.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_settings
def show(settings: Settings, *, name: str, as_json: bool) -> None:
    """Show one skill whole: what it says of itself, its rules, and how it does.

    NAME may leave out the plugin's name where no other skill is called so.
    """
    from karl.cli.rules import shown  # noqa: PLC0415 - RE2 and SQLite load when needed
    from karl.skills.merge import merge  # noqa: PLC0415

    known = merge(_told(settings))
    found = _named(name, known.told)
    names = {one.skill.name for one in found}
    others = [one for one in known.hidden if one.skill.name in names]
    rules = [rule for rule in known.catalogue.rules if rule.skill in names]
    states = [state for state in _states(settings) if state.skill in names]
    if as_json:
        told = [{**_skill(one), "counts": True} for one in found]
        told += [{**_skill(one), "counts": False} for one in others]
        print_json({"skills": told, "rules": rules, "state": next(map(_state, states), None)})
        return
    for one in found:
        _print_skill(one)
    for one in others:
        click.echo(f"another one of this name, in {plain(one.place)}, does not count")
    if rules:
        click.echo()
        rows = [(shown(rule), rule.weight, rule.project, rule.origin) for rule in rules]
        print_table(("pattern", "weight", "project", "told by"), rows)
    for state in states:
        click.echo(f"\n{_did(state)}")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_settings
def states(settings: Settings, *, as_json: bool) -> None:
    """Show how each skill does, from all turns that used it, and what might be done about it.

    Useful turns had a reward of 0.6 and more; suppressed ones were corrected. Topics are words of their
    prompts. Confidence is a moving mean of rewards that begins at 0.5. What is advised happens to nothing by
    itself: disable (confidence below 0.3 after more than 10 turns), warn (below 0.5 and unused for 30 days),
    archive (unused for 60 days and never useful), candidate (above 0.7 after more than 20 turns: for the
    vector router). What a skill does is not told apart from what it is used for: hard work has lower rewards.
    """
    found = _states(settings)
    if as_json:
        print_json([_state(state) for state in found])
        return
    if not found:
        click.echo("no turn has used a skill yet")
        return
    now = now_ms()
    rows = [
        (
            state.skill,
            state.activations,
            state.useful,
            state.suppressed,
            state.confidence,
            age((now - state.last_ms) / 1000),
            _advised(state) or "",
            ", ".join(state.hot[:5]),
            ", ".join(state.cold[:5]),
        )
        for state in found
    ]
    columns = ("skill", "turns", "useful", "corrected", "confidence", "last", "advice", "hot", "cold")
    print_table(columns, rows, whole=("skill", "advice"), short=("hot", "cold"))
    for state in found:
        if what := _advised(state):
            click.echo(f"{plain(state.skill)}: {_ADVICE[what]}")


def _asked(settings: Settings, paths: tuple[Path, ...], projects: tuple[Path, ...]) -> Asked:
    """Say which places are meant, and how they are read."""
    from karl.skills.places import of_path, of_project, of_user  # noqa: PLC0415
    from producers.project import project_of  # noqa: PLC0415
    from producers.redact import Redactor  # noqa: PLC0415
    from workers.skills import Asked  # noqa: PLC0415

    home = Path.home()
    places: list[Place] = [of_path(path, home) for path in paths]
    for folder in projects:
        whole = folder.resolve()
        places += of_project(whole, project_of(str(whole)), home)
    if not paths and not projects:
        places = of_user(settings.skills_dir, settings.rules, home)
    return Asked(places, project_of, Redactor().text)


def _refuse_strangers(paths: tuple[Path, ...], found: Scan) -> None:
    """Raise NotFound for what somebody named that is not there, and never was."""
    from karl.errors import NotFound  # noqa: PLC0415

    known = {report.path for report in found.places}
    for path in paths:
        if not path.exists() and Path(os.path.abspath(path)) not in known:  # noqa: PTH100 - as places are named
            raise NotFound(f"there is no {path}, and nothing was told of it")


def _told(settings: Settings) -> list[SkillsBody]:
    from karl.views.routing import Routed  # noqa: PLC0415

    with Routed(settings.views) as views:
        return views.told()


def _states(settings: Settings) -> list[SkillState]:
    from karl.views.routing import Routed  # noqa: PLC0415

    with Routed(settings.views) as views:
        return views.skill_states()


def _named(name: str, told: tuple[Told, ...]) -> list[Told]:
    """Give the skills that a name means. Raises NotFound, naming what is near."""
    import difflib  # noqa: PLC0415

    from karl.errors import NotFound  # noqa: PLC0415

    asked = name.removeprefix("/")
    if found := [one for one in told if one.skill.name == asked]:
        return found
    short = [one for one in told if one.skill.name.rpartition(":")[2] == asked]
    if len({one.skill.name for one in short}) == 1:
        return short
    names = sorted({one.skill.name for one in short}) or difflib.get_close_matches(
        asked, sorted({one.skill.name for one in told}), n=5, cutoff=0.5
    )
    hint = f"; there is {', '.join(names)}" if names else "; `karl skills list` lists them"
    raise NotFound(f"no skill is called {name!r}{hint}")


def _counted(rules: tuple[Rule, ...]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for rule in rules:
        counts[rule.skill] = counts.get(rule.skill, 0) + 1
    return counts


def _skill(told: Told) -> dict[str, Any]:
    import msgspec  # noqa: PLC0415

    entry = msgspec.structs.asdict(told.skill)
    return {**entry, "place": told.place, "node": told.node, "origin": told.origin}


def _advised(state: SkillState) -> str | None:
    from karl.skills.decay import advice  # noqa: PLC0415

    return advice(
        activations=state.activations,
        useful=state.useful,
        confidence=state.confidence,
        last_ms=state.last_ms,
        now_ms=now_ms(),
    )


def _state(state: SkillState) -> dict[str, Any]:
    import msgspec  # noqa: PLC0415

    return {**msgspec.structs.asdict(state), "advice": _advised(state)}


def _did(state: SkillState) -> str:
    what = _advised(state)
    return (
        f"turns that used it: {state.activations:,} ({state.useful:,} useful, {state.suppressed:,} corrected)"
        f"; confidence {state.confidence:.2f}; last {moment(state.last_ms)}"
        + (f"\nhot: {plain(', '.join(state.hot))}" if state.hot else "")
        + (f"\ncold: {plain(', '.join(state.cold))}" if state.cold else "")
        + (f"\nadvice: {_ADVICE[what]}" if what else "")
    )


def _print_skill(told: Told) -> None:
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


def _place(found: Scan, at: int) -> dict[str, Any]:
    report, told = found.places[at], found.told[at]
    problems = [problem._asdict() for problem in report.problems]
    counts = {"skills": told.skills, "rules": told.rules, "problems": problems}
    return {**report._asdict(), "path": str(report.path), **counts}


def _print_scan(found: Scan, *, dry_run: bool) -> None:
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


def _what(one: PlaceReport, *, dry_run: bool) -> str:
    if one.is_gone:
        return "is gone" + (", would be told" if dry_run else ", told")
    if not one.changed:
        return "as before" if one.skills or one.rules else "empty"
    return "would be told" if dry_run else "told"


def _print_problems(problems: list[Problem]) -> None:
    for problem in problems[:_NAMED_MAX]:
        lost = "" if problem.lost else "note: "
        click.echo(f"{lost}{plain(problem.where)}: {plain(problem.why)}", err=True)
    if len(problems) > _NAMED_MAX:
        click.echo(f"and {len(problems) - _NAMED_MAX:,} more (--json names all)", err=True)
