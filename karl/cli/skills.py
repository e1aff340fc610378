"""`karl skills`: what skills there are, read from where they are; and how they do."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from karl.cli.main import pass_settings
from karl.cli.moments import now_ms
from karl.cli.render import counting, print_json
from karl.settings import Settings

if TYPE_CHECKING:
    from karl.schema.routing import Rule, SkillsBody
    from karl.skills.merge import Placed
    from karl.skills.told import Place
    from karl.views.routing_rows import SkillState
    from workers.skills import Asked, Scan


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
        from workers.line import on_line  # noqa: PLC0415

        with on_line(settings, "karl-skills") as redis:
            tell(redis, settings, found.bodies, time.sleep)
    if as_json:
        print_json({"places": [_place(found, at) for at in range(len(found.places))], "written": not dry_run})
    else:
        from karl.cli.skills_shown import print_scan  # noqa: PLC0415

        print_scan(found, dry_run=dry_run)
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
    from karl.cli.skills_shown import print_skills  # noqa: PLC0415

    print_skills(shown, rules, known.hidden)


@click.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_settings
def show(settings: Settings, *, name: str, as_json: bool) -> None:
    """Show one skill whole: what it says of itself, its rules, and how it does.

    NAME may leave out the plugin's name where no other skill is called so.
    """
    from karl.skills.merge import merge  # noqa: PLC0415 - SQLite loads when needed

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
    from karl.cli.skills_shown import print_skill  # noqa: PLC0415

    print_skill(found, others, rules, states, now_ms())


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
    from karl.cli.skills_shown import print_states  # noqa: PLC0415

    print_states(found, now_ms())


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
        for path in settings.skills_dir:
            if not path.exists() and path != home / ".claude" / "skills":  # the default may be missing
                click.echo(f"karl: there is no {path}, which KARL_SKILLS_DIR names", err=True)
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


def _named(name: str, told: tuple[Placed, ...]) -> list[Placed]:
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


def _skill(told: Placed) -> dict[str, Any]:
    import msgspec  # noqa: PLC0415

    entry = msgspec.structs.asdict(told.skill)
    return {**entry, "place": told.place, "node": told.node, "origin": told.origin}


def _state(state: SkillState) -> dict[str, Any]:
    import msgspec  # noqa: PLC0415

    from karl.cli.skills_shown import advised  # noqa: PLC0415

    return {**msgspec.structs.asdict(state), "advice": advised(state, now_ms())}


def _place(found: Scan, at: int) -> dict[str, Any]:
    report, told = found.places[at], found.told[at]
    problems = [problem._asdict() for problem in report.problems]
    counts = {"skills": told.skills, "rules": told.rules, "problems": problems}
    return {**report._asdict(), "path": str(report.path), **counts}
