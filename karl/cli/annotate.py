"""`karl annotate`: a person's word on a turn."""

from __future__ import annotations

import time
from typing import Any

import click

from karl.cli.main import pass_settings
from karl.cli.moments import now_ms
from karl.cli.people import only_people, user_at, without_secrets
from karl.cli.render import plain, print_json
from karl.errors import KarlError
from karl.settings import Settings

_WORDS = ("good", "bad", "corrected", "not-corrected", "redone", "reverted")
_NOTE_MAX = 2000
_NAME_MAX = 200


@click.command()
@click.argument("id_", metavar="TURN")
@click.argument("word", type=click.Choice(_WORDS), required=False)
@click.option("--skill", metavar="NAME|none", help="The skill that the prompt was for; it may be said alone.")
@click.option(
    "--note", default="", metavar="TEXT", help="Why, for whoever reads it later; secrets are taken out."
)
@click.option("--json", "as_json", is_flag=True, help="Print what was sent as JSON.")
@pass_settings
def annotate(settings: Settings, id_: str, word: Any, *, skill: str | None, note: str, as_json: bool) -> None:
    """Say how a turn went: a person's own word, as a record that refers to it.

    TURN is a trajectory's id, or its beginning, or a session's that has one turn. Good and bad say whether
    the task got done, and count before all that was detected; the other words correct what was detected.
    Nothing is changed: the word is a record of its own, with the score that follows, and is taken back by
    saying the opposite. `karl explain` shows it.

    --skill says which skill the prompt was for, or `none`. Routing is measured with it and learns from it,
    before all that was observed; the score stays as it is.

    Run it where the views are, while the line runs. In a shell that an agent runs it is refused.

    Example: karl annotate traj_951345060aed bad --note "the test was deleted, not mended"

    Example: karl annotate traj_951345060aed --skill code-review
    """
    from workers.annotate import annotate as say  # noqa: PLC0415 - Redis and SQLite load when needed
    from workers.line import on_line  # noqa: PLC0415

    only_people()
    if len(note) > _NOTE_MAX:
        raise click.UsageError(f"a note has at most {_NOTE_MAX:,} characters")
    named = _skill(skill)
    if word is None and named is None:
        raise click.UsageError("say how the turn went (good, bad, ...), or which skill it was for (--skill)")
    turn = _turn(settings, id_)
    with on_line(settings, "karl-annotate") as redis:
        done = say(
            redis,
            settings,
            turn,
            word,
            note=without_secrets(note),
            person=user_at(settings),
            now_ms=now_ms(),
            wait=time.sleep,
            skill=named,
        )
    if as_json:
        print_json(done.body)
        return
    if word is not None:
        after = done.body.score.reward
        click.echo(f"{plain(turn)}: {word}; reward {done.before:.4f} before, {after:.4f} with it")
    if named is not None:
        click.echo(f"{plain(turn)}: its prompt was for {plain(named) or 'no skill'}")
    if not done.is_known:
        click.echo("no place tells of a skill of that name, and none was called (karl skills)", err=True)


def _skill(given: str | None) -> str | None:
    """Give a skill's name, empty for none, null where nothing is said of it."""
    if given is None or given.strip().casefold() == "none":
        return None if given is None else ""
    name = given.strip().removeprefix("/")
    if not name or len(name) > _NAME_MAX or not name.isprintable():
        raise click.UsageError(f"--skill is a name of at most {_NAME_MAX} characters, or none")
    return name


def _turn(settings: Settings, beginning: str) -> str:
    """Give the one turn that an id means. Raises NotFound, and KarlError when a session has several."""
    from karl.views.queries import Views  # noqa: PLC0415

    with Views(settings.views) as views:
        found = views.find(beginning)
        if found.kind == "trajectory":
            return found.id
        turns = views.turns(found.id)
    if len(turns) == 1:
        return turns[0].id
    raise KarlError(
        f"session {found.id} has {len(turns)} turns; name one of them (`karl show {found.id}` lists them)"
    )
