"""`karl rules`: the patterns that vote for skills, and how they vote on a prompt."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from karl.cli.main import pass_settings
from karl.cli.render import plain, print_json, print_table
from karl.settings import Settings

if TYPE_CHECKING:
    from karl.schema.routing import Rule


@click.command(name="list")
@click.option("--skill", help="Only rules of this skill.")
@click.option("--project", metavar="NAME", help="Only rules that count for prompts of this project.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_settings
def list_(settings: Settings, *, skill: str | None, project: str | None, as_json: bool) -> None:
    """List the rules that vote for skills: of files of rules, of skills' own fields, of skills' names."""
    rules = [
        rule
        for rule in _known(settings)
        if skill in (None, rule.skill) and (project is None or rule.project in ("", project))
    ]
    if as_json:
        print_json(rules)
    elif not rules:
        click.echo("there are no such rules; `karl skills scan` reads skills and the file of rules")
    else:
        rows = [(rule.skill, shown(rule), rule.weight, rule.project, rule.origin) for rule in rules]
        columns = ("skill", "pattern", "weight", "project", "told by")
        print_table(columns, rows, title=f"{len(rows):,} rules", whole=("skill",))


@click.command()
@click.argument("text")
@click.option("--project", default="", metavar="NAME", help="The project that the prompt is of.")
@click.option(
    "--file",
    "files",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Try a file of rules that was not scanned yet, instead of those that are known; repeatable.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_settings
def test(settings: Settings, *, text: str, project: str, files: tuple[Path, ...], as_json: bool) -> None:
    """Say which rules vote on a prompt, and which skill wins; TEXT may be - for stdin.

    Ends with 0 when a skill wins, and with 1 when nobody votes or two skills have as many votes. A name that
    is typed at the beginning (/name) is no part of what is looked at: it says itself which skill is meant.

    Example: karl rules test "merge these two pdfs" --project invoices
    """
    from karl.routing.rules import Rules, winner  # noqa: PLC0415 - RE2 loads when needed
    from karl.routing.text import asked  # noqa: PLC0415

    prompt = asked(sys.stdin.read() if text == "-" else text)
    rules = Rules(_of_files(files) if files else _known(settings))
    matching, votes = rules.matching(prompt, project), rules.votes(prompt, project)
    pick = winner(votes)
    if as_json:
        tally = [{"skill": skill, "votes": weight} for skill, weight in votes]
        bad = [{"rule": one.rule, "why": one.why} for one in rules.problems]
        print_json({"pick": pick, "votes": tally, "rules": matching, "problems": bad})
    else:
        _print(matching, votes, pick)
        for one in rules.problems:
            click.echo(f"a rule of {plain(one.rule.skill)} does not count: {plain(one.why)}", err=True)
    sys.exit(0 if pick is not None else 1)


def shown(rule: Rule) -> str:
    """Give a rule's pattern as a person is to see it: of a skill's own name, that it is that."""
    from karl.routing.rules import of_name  # noqa: PLC0415

    return "(its name)" if any(rule.pattern == one.pattern for one in of_name(rule.skill)) else rule.pattern


def _print(matching: list[Rule], votes: list[tuple[str, float]], pick: str | None) -> None:
    if not votes:
        click.echo("no rule votes on this prompt")
        return
    rows = [(rule.skill, rule.weight, shown(rule), rule.project, rule.origin) for rule in matching]
    print_table(("skill", "weight", "pattern", "project", "told by"), rows, whole=("skill",))
    tally = ", ".join(f"{plain(skill)} {weight:g}" for skill, weight in votes)
    click.echo(f"\nvotes: {tally}")
    click.echo(f"{plain(pick)} wins" if pick is not None else "a tie: no skill is picked")


def _known(settings: Settings) -> tuple[Rule, ...]:
    from karl.views.routing import Routed  # noqa: PLC0415

    with Routed(settings.views) as views:
        return views.catalogue().rules


def _of_files(files: tuple[Path, ...]) -> list[Rule]:
    from karl.skills.rules_file import read_rules  # noqa: PLC0415

    found: list[Rule] = []
    for path in files:
        read = read_rules(path.resolve(), origin="user")
        for problem in read.problems:
            click.echo(f"{plain(problem.where)}: {plain(problem.why)}", err=True)
        found += read.rules
    return found
