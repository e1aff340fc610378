"""Skills and rules on their way: read from where they are, to the ledger, and to whoever routes.

Invariants:
- A place whose skills and rules are as they were told last makes no record.
- A place that was told of and is gone is told of once more, without skills.
- What a secret is in a hook's payload, is one in a skill's text: it never leaves this machine.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from karl.errors import LineDown, NotFound
from karl.routing.policy import Catalogue
from karl.schema.routing import Origin, Rule, SkillEntry, SkillsBody
from karl.skills.merge import merged
from karl.skills.read import read_place
from karl.skills.told import Place, PlaceTold, Problem
from karl.views.routing import Routed
from workers.records import ROUTING, Outgoing, send, settled
from workers.whole_files import write_whole

if TYPE_CHECKING:
    from redis import Redis

    from karl.settings import Settings

#: The file of what a machine without views has told.
_TOLD = "skills.told"

#: Takes secrets out of a text; gives it with the number of them by rule (producers.redact.Redactor.text).
Redact = Callable[[str], tuple[str, dict[str, int]]]


class Asked(NamedTuple):
    """Places to read, and how: who names a folder's project, and who takes secrets out."""

    places: Sequence[Place]
    project_of: Callable[[str], str]
    redact: Redact


class PlaceReport(NamedTuple):
    """One place of a scan; `changed` says that it makes a record."""

    place: str
    path: Path
    kind: str
    origin: Origin
    project: str
    skills: int
    rules: int
    changed: bool
    is_gone: bool
    redacted: int
    problems: tuple[Problem, ...]


class Scan(NamedTuple):
    """What a scan found, place by place, and the records that follow from it."""

    places: list[PlaceReport]
    bodies: list[SkillsBody]
    told: list[PlaceTold]


def look(
    settings: Settings, asked: Asked, now_ms: int, progress: Callable[[object, int], None] | None = None
) -> Scan:
    """Read places, and hold them against what the views say was told of them; nothing is written.

    Where there are no views on this machine, what it told itself is remembered here. `progress` is told of
    each place, with the number of skills so far.
    """
    before = known(settings)
    others = tuple(place.path for place in asked.places)
    scan = Scan([], [], [])
    count = 0
    for place in asked.places:
        if progress:
            progress(place.name, count)
        read, hidden = _redacted(read_place(place, asked.project_of, others), asked.redact)
        last = before.get((settings.node, place.name))
        count += len(read.skills)
        is_gone = not read.is_there and last is not None and bool(last.skills or last.rules)
        if not read.is_there and not is_gone:
            continue
        body = _body(read, settings.node, now_ms)
        is_new = bool(body.skills or body.rules) if last is None else last.id != body.id
        scan.places.append(_report(read, changed=is_new, is_gone=is_gone, redacted=hidden))
        scan.told.append(read)
        if is_new:
            scan.bodies.append(body)
    return scan


def known(settings: Settings) -> dict[tuple[str, str], SkillsBody]:
    """Give what was told last of each place, by node and name; where there are no views, from here alone."""
    try:
        with Routed(settings.views) as views:
            return {(body.node, body.place): body for body in views.told()}
    except NotFound:
        return _remembered(settings)


def tell(
    redis: Redis, settings: Settings, bodies: Sequence[SkillsBody], wait: Callable[[float], None]
) -> Catalogue:
    """Send records to the ledger, then publish all that is known; gives what was published.

    Where the views are, they say what is known; elsewhere it is what was published before, with what these
    records say added, until whoever has the views publishes (workers/put_back.py). Raises LineDown when Redis
    does not answer, Refused where the line does not move, OSError; said again, it goes on from there.
    """
    from redis.exceptions import RedisError  # noqa: PLC0415 - the client is loaded by who connects

    from karl.stream import routing  # noqa: PLC0415 - so does this

    try:
        published = routing.read(redis)
        before = published.catalogue if published else Catalogue()
        send(redis, [Outgoing("skills", ROUTING, body) for body in bodies], wait)
        if settings.views.exists():
            settled(redis, settings, wait)
            with Routed(settings.views) as views:
                now = views.catalogue()
        else:
            told = _remember(settings, bodies)
            now = _added(before, bodies if published else told)
        if now != before:
            routing.publish_catalogue(redis, now)
    except RedisError as error:
        raise LineDown(f"Redis does not answer: {error}; start the line, and say it again") from error
    return now


def _remembered(settings: Settings) -> dict[tuple[str, str], SkillsBody]:
    """Give what this machine told, by node and name; nothing where that is not known any more."""
    try:
        told = msgspec.json.decode((settings.data_dir / _TOLD).read_bytes(), type=list[SkillsBody])
    except (FileNotFoundError, msgspec.MsgspecError, UnicodeDecodeError):
        return {}
    return {(body.node, body.place): body for body in told}


def _remember(settings: Settings, bodies: Sequence[SkillsBody]) -> list[SkillsBody]:
    """Keep what was told now beside what was told before; gives all of it. Raises OSError."""
    told = {**_remembered(settings), **{(body.node, body.place): body for body in bodies}}
    write_whole(settings.data_dir / _TOLD, msgspec.json.encode(list(told.values())))
    return list(told.values())


def _added(before: Catalogue, bodies: Sequence[SkillsBody]) -> Catalogue:
    """Put new records over a catalogue whose places nobody here knows."""
    now = merged(bodies)
    mine = {(skill.name, skill.project) for skill in now.skills}
    named = {skill.name for skill in now.skills}
    rest = SkillsBody(
        "",
        "",
        "file",
        tuple(skill for skill in before.skills if (skill.name, skill.project) not in mine),
        "",
        0,
        tuple(rule for rule in before.rules if rule.skill not in named),
    )
    return merged([*bodies, rest])


def _body(read: PlaceTold, node: str, now_ms: int) -> SkillsBody:
    """Make a place's record; its id says what is in it."""
    place = read.place
    content = msgspec.json.encode((node, place.name, place.origin, read.skills, read.rules))
    id_ = f"skills_{hashlib.sha256(content).hexdigest()[:16]}"
    return SkillsBody(id_, place.name, place.origin, read.skills, node, now_ms, read.rules)


def _report(read: PlaceTold, *, changed: bool, is_gone: bool, redacted: int) -> PlaceReport:
    place = read.place
    return PlaceReport(
        place.name,
        place.path,
        place.kind,
        place.origin,
        place.project,
        len(read.skills),
        len(read.rules),
        changed,
        is_gone,
        redacted,
        read.problems,
    )


def _redacted(read: PlaceTold, redact: Redact) -> tuple[PlaceTold, int]:
    """Take secrets out of all texts of a place; gives it with their number."""
    count = 0

    def clean(text: str) -> str:
        nonlocal count
        made, found = redact(text)
        count += sum(found.values())
        return made

    skills = tuple(_clean_skill(skill, clean) for skill in read.skills)
    rules, problems = _clean_rules(read.rules, clean, str(read.place.path))
    told = read._replace(skills=skills, rules=rules, problems=(*read.problems, *problems))
    return told, count


def _clean_skill(skill: SkillEntry, clean: Callable[[str], str]) -> SkillEntry:
    return msgspec.structs.replace(
        skill,
        description=clean(skill.description),
        when=clean(skill.when),
        examples=tuple(clean(example) for example in skill.examples),
    )


def _clean_rules(
    rules: Iterable[Rule], clean: Callable[[str], str], where: str
) -> tuple[tuple[Rule, ...], list[Problem]]:
    """Leave out rules whose pattern holds a secret: what would stand in its place is another pattern."""
    kept, problems = [], []
    for rule in rules:
        if clean(rule.pattern) == rule.pattern:
            kept.append(rule)
        else:
            problems.append(
                Problem(where, f"a pattern of {rule.skill} holds a secret, and is left out", lost=True)
            )
    return tuple(kept), problems
