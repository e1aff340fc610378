"""Exemplars: the texts that routers are trained with, and what a person says of them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from karl.cli.main import pass_settings
from karl.cli.moments import age, now_ms
from karl.cli.people import user_at, without_secrets
from karl.cli.render import one_line, plain, print_json, print_table
from karl.errors import NotFound
from karl.settings import Settings

if TYPE_CHECKING:
    from karl.routing.exemplars import Piece
    from workers.exemplars import Material

#: Characters of a text in a table.
_SHOWN = 90

_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.command()
@click.argument("skill", required=False)
@click.option("--skill", "named", metavar="SKILL", help="The same, as an option.")
@_JSON
@pass_settings
def exemplars(settings: Settings, *, skill: str | None, named: str | None, as_json: bool) -> None:
    """Show the texts that a router trained now would learn from: of each skill how many, or one skill's.

    They are prompts whose skill is known (called, typed, corrected to, labelled), prompts that somebody gave
    (`karl add-exemplar`), and what skills say of themselves. SKILL `none` shows the prompts that asked for no
    skill. A prompt is left out where a router had told the agent of a skill, where it is too short or unsure,
    or where another says the same.
    """
    from workers.exemplars import weights  # noqa: PLC0415 - SQLite loads when needed

    wanted = skill or named
    with _material(settings) as found:
        if wanted is None:
            rows = weights(found)
            left = dict(found.found.left_out)
        else:
            pieces = _pieces(found, wanted)
    if wanted is not None:
        if not pieces and wanted != "none":
            raise NotFound(
                f"there is no exemplar of {plain(wanted)}; `karl exemplars` lists skills that have some"
            )
        _show_pieces(pieces, as_json=as_json)
    elif as_json:
        print_json({"skills": rows, "left_out": left})
    elif not rows:
        click.echo("there is no skill yet: `karl skills scan` reads skills, `karl import` past sessions")
    else:
        print_table(
            ("skill", "texts", "of the skill itself", "of prompts", "prompts known"),
            [(one.skill, one.texts, one.own, one.texts - one.own, one.usable) for one in rows],
            whole=("skill",),
        )


@click.command(name="add-exemplar")
@click.argument("skill")
@click.argument("words", nargs=-1, required=True, metavar="PROMPT...")
@click.option("--contrast", default="", metavar="SKILL", help="The skill that this prompt is taken for.")
@_JSON
@pass_settings
def add_exemplar(
    settings: Settings, *, skill: str, words: tuple[str, ...], contrast: str, as_json: bool
) -> None:
    """Say that a prompt asks for a skill; SKILL `none`: for no skill.

    The next router is trained with it (`karl centroids`). Secrets are taken out, as of everything that is
    recorded. All words after SKILL are one prompt, of at least 10 bytes; of one longer than 4,000 characters
    the beginning counts.
    """
    from karl.routing.text import TEXT_MAX  # noqa: PLC0415
    from workers.exemplars import add  # noqa: PLC0415 - Redis loads when needed
    from workers.line import on_line  # noqa: PLC0415

    _check_name(skill)
    text = without_secrets(" ".join(words)[:TEXT_MAX])
    with on_line(settings, "karl-exemplars") as redis:
        body = add(
            redis,
            "" if skill == "none" else skill,
            text,
            person=user_at(settings),
            now_ms=now_ms(),
            wait=time.sleep,
            contrast=contrast,
        )
    if as_json:
        print_json(body)
    else:
        click.echo(f"{body.id}: {plain(skill)}; `karl centroids` trains with it")


@click.command(name="remove-exemplar")
@click.argument("skill")
@click.argument("wanted", metavar="ID|NUMBER")
@_JSON
@pass_settings
def remove_exemplar(settings: Settings, *, skill: str, wanted: str, as_json: bool) -> None:
    """Say that a text is no exemplar of a skill: by its number in `karl exemplars SKILL`, or its id.

    Nothing is deleted: a turn's prompt stays in its turn, and `karl add-exemplar` says the opposite.
    """
    from karl.views.sources import Sources  # noqa: PLC0415 - Redis and SQLite load when needed
    from workers.exemplars import find, material, remove  # noqa: PLC0415
    from workers.line import on_line  # noqa: PLC0415

    with Sources(settings.views) as views:
        piece = find(_pieces(material(views, settings.ledger), skill), wanted)
        with on_line(settings, "karl-exemplars") as redis:
            body = remove(
                redis,
                settings.ledger,
                views,
                piece,
                person=user_at(settings),
                now_ms=now_ms(),
                wait=time.sleep,
            )
    if as_json:
        print_json(body)
    else:
        click.echo(f"no exemplar of {plain(skill)} any more: {one_line(piece.text, _SHOWN)}")


@click.command()
@_JSON
@pass_settings
def weights(settings: Settings, *, as_json: bool) -> None:
    """Show what each skill weighs in a router trained now: its texts, who said what they ask for, its share.

    No skill is preferred for having been used often or rewarded well: what counts is what is known of it.
    """
    from workers.exemplars import weights as weigh  # noqa: PLC0415 - SQLite loads when needed

    with _material(settings) as found:
        rows = weigh(found)
    if as_json:
        print_json(rows)
        return
    if not rows:
        click.echo("there is no skill yet: `karl skills scan` reads skills, `karl import` past sessions")
        return
    kinds = sorted({how for row in rows for how in row.by})
    print_table(
        ("skill", "texts", "share", "itself", *kinds),
        [
            (
                row.skill,
                row.texts,
                f"{100 * row.share:.1f} %",
                row.own,
                *(row.by.get(how, 0) for how in kinds),
            )
            for row in rows
        ],
        whole=("skill",),
    )


def _show_pieces(pieces: list[Piece], *, as_json: bool) -> None:
    from workers.exemplars import name_of  # noqa: PLC0415 - SQLite loads when needed

    if as_json:
        print_json([{"number": at, "id": name_of(one), **one._asdict()} for at, one in enumerate(pieces, 1)])
        return
    if not pieces:
        click.echo("no prompt is known yet that asked for no skill")
        return
    now = now_ms()
    print_table(
        ("", "from", "age", "id", "text"),
        [
            (
                at,
                one.how if one.how != "skill" else one.kind,
                age((now - one.time_ms) / 1000) if one.time_ms else "-",
                name_of(one)[:16] if one.how != "skill" else "-",
                one_line(one.text, _SHOWN),
            )
            for at, one in enumerate(pieces, 1)
        ],
        whole=("id",),
        short=("text",),
    )


def _pieces(found: Material, skill: str) -> list[Piece]:
    """Give the texts of a skill, or those that ask for none, in the order of their numbers."""
    chosen = found.chosen()
    mine = chosen.strangers if skill == "none" else [one for one in chosen.pieces if one.skill == skill]
    return sorted(mine, key=lambda one: (one.how == "skill", -one.time_ms, one.source, one.text))


def _check_name(skill: str) -> None:
    if not skill.strip() or len(skill) > 200 or not skill.isprintable():
        raise click.UsageError("a skill's name has 1 to 200 printable characters")


@contextmanager
def _material(settings: Settings) -> Iterator[Material]:
    from karl.views.sources import Sources  # noqa: PLC0415 - SQLite loads when needed
    from workers.exemplars import material  # noqa: PLC0415

    with Sources(settings.views) as views:
        yield material(views, settings.ledger)
