"""A scan tells the ledger what changed, and whoever routes what there is; nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis import Redis

from karl.schema.routing import Rule, SkillEntry, SkillsBody
from karl.settings import Settings, read_settings
from karl.skills.merge import merge, merged
from karl.skills.places import of_path, of_project, of_user
from karl.stream import routing
from producers.redact import Redactor
from tests.skills.writing import fields, skill, whys
from tests.workers.conftest import Line
from workers.put_back import put_back
from workers.skills import Asked, Scan, look, tell

NOW = 1_760_000_000_000


class Machine:
    """Somebody who scans on one machine."""

    def __init__(self, settings: Settings, line: Line, home: Path) -> None:
        self.settings = settings
        self.line = line
        self.home = home

    def look(self, now_ms: int = NOW) -> Scan:
        places = of_user([self.home / ".claude" / "skills"], self.settings.rules, self.home)
        return look(self.settings, Asked(places, lambda folder: Path(folder).name, Redactor().text), now_ms)

    def scan(self, now_ms: int = NOW) -> Scan:
        found = self.look(now_ms)
        tell(self.line.redis, self.settings, found.bodies, self.move)
        return found

    def move(self, _seconds: float = 0.0) -> None:
        if self.settings.views.exists():
            self.line.catch_up(self.settings.views)

    def published(self) -> set[str]:
        now = routing.read(self.line.redis)
        return set(now.catalogue.names) if now else set()


@pytest.fixture
def machine(settings: Settings, line: Line, home: Path) -> Machine:
    return Machine(settings, line, home)


def test_what_is_found_is_in_the_ledger_and_published(machine: Machine) -> None:
    found = machine.scan()
    assert {one.place: (one.skills, one.changed) for one in found.places} == {
        "~/.claude/skills": (1, True),
        "~/.claude/commands": (1, True),
        "~/.agents/skills": (1, True),
    }
    records = {record["place"]: record for record in machine.line.records("skills")}
    assert {one["name"] for record in records.values() for one in record["skills"]} == {
        "pdf",
        "sheets",
        "ship",
    }
    assert {record["node"] for record in records.values()} == {"n1"}
    assert machine.published() == {"pdf", "sheets", "ship"}
    now = routing.read(machine.line.redis)
    assert now is not None
    assert "\\bmerge\\s+pages\\b" in {rule.pattern for rule in now.catalogue.rules}


def test_what_is_as_before_makes_no_record(machine: Machine) -> None:
    machine.scan()
    again = machine.scan(NOW + 1000)
    assert [one.changed for one in again.places] == [False, False, False]
    assert len(machine.line.records("skills")) == 3


def test_what_changed_makes_one_record_and_takes_the_place_of_the_old(machine: Machine, home: Path) -> None:
    machine.scan()
    skill(home, ".claude/skills/pdf", fields(name="pdf", description="Reads PDFs and more."))
    machine.scan(NOW + 1000)
    assert [record["place"] for record in machine.line.records("skills")[3:]] == ["~/.claude/skills"]
    now = routing.read(machine.line.redis)
    assert now is not None
    assert {one.description for one in now.catalogue.skills if one.name == "pdf"} == {"Reads PDFs and more."}


def test_a_place_that_is_gone_is_told_once(machine: Machine, home: Path) -> None:
    machine.scan()
    shutil.rmtree(home / ".claude" / "commands")
    assert [one.place for one in machine.scan(NOW + 1000).places if one.is_gone] == ["~/.claude/commands"]
    assert machine.published() == {"pdf", "sheets"}
    assert not [one for one in machine.scan(NOW + 2000).places if one.is_gone]
    assert len(machine.line.records("skills")) == 4


def test_a_secret_in_a_skill_never_leaves_the_machine(machine: Machine, home: Path) -> None:
    secret = "AKIA" + "QYLPMN5HHHFPZAM2"
    text = f"---\ndescription: Use {secret} for it\nwhen: with {secret}\nexamples: [say {secret}]\npatterns: ['{secret}']\n---\n"
    skill(home, ".claude/skills/leaky", text)
    found = machine.scan()
    assert sum(one.redacted for one in found.places) == 4
    assert "holds a secret" in whys(tuple(problem for one in found.places for problem in one.problems))
    assert secret not in str(machine.line.records())
    assert secret not in str(routing.read(machine.line.redis))
    assert secret not in str(found.told)


def test_rules_of_the_user_and_of_a_project_are_told_apart(
    machine: Machine, settings: Settings, home: Path, tmp_path: Path
) -> None:
    settings.rules.write_text(
        '[[rule]]\nskill = "pdf"\nwords = ["papers"]\n[[rule]]\nskill = "pdf"\npattern = "("\n'
    )
    shop = tmp_path / "shop"
    skill(shop, ".karl", '[[rule]]\nskill = "pdf"\nwords = ["receipts"]\n', "rules.toml")
    found = machine.scan()
    assert "rule 2 (pdf)" in whys(tuple(problem for one in found.places for problem in one.problems))
    asked = Asked(of_project(shop, "shop", home), str, Redactor().text)
    tell(machine.line.redis, settings, look(settings, asked, NOW).bodies, machine.move)
    now = routing.read(machine.line.redis)
    assert now is not None
    told = {(rule.pattern, rule.project, rule.origin) for rule in now.catalogue.rules}
    assert told >= {("\\bpapers\\b", "", "user"), ("\\breceipts\\b", "shop", "project")}


def test_nothing_to_tell_leaves_routing_off(
    settings: Settings, line: Line, redis: Redis, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    asked = Asked([of_path(tmp_path / "empty", tmp_path)], str, Redactor().text)
    found = look(settings, asked, NOW)
    tell(redis, settings, found.bodies, lambda _seconds: None)
    assert routing.read(redis) is None
    assert line.records() == []


def test_a_machine_without_views_adds_to_what_is_published(
    machine: Machine, line: Line, redis_url: str, tmp_path: Path
) -> None:
    machine.scan()
    elsewhere = read_settings(
        {"KARL_REDIS_URL": redis_url, "KARL_DATA_DIR": str(tmp_path / "other"), "KARL_NODE": "n2"}
    )
    folder = skill(tmp_path / "skills", "mail", fields(name="mail", description="Writes mail.")).parent.parent
    asked = Asked([of_path(folder, tmp_path)], str, Redactor().text)
    for _ in range(2):
        tell(line.redis, elsewhere, look(elsewhere, asked, NOW).bodies, machine.move)
    assert machine.published() == {"pdf", "sheets", "ship", "mail"}
    machine.move()
    assert [record["node"] for record in line.records("skills")].count("n2") == 1
    machine.scan(NOW + 1000)
    assert machine.published() == {"pdf", "sheets", "ship", "mail"}


def test_a_machine_without_views_tells_once_what_it_has_and_what_is_gone(
    machine: Machine, line: Line, redis_url: str, tmp_path: Path
) -> None:
    elsewhere = read_settings(
        {"KARL_REDIS_URL": redis_url, "KARL_DATA_DIR": str(tmp_path / "other"), "KARL_NODE": "n2"}
    )
    places = [tmp_path / "one", tmp_path / "two"]
    for place in places:
        for name in ("mail", "chat"):
            skill(place, name, fields(name=name, description=f"{place.name} {name}"))
    asked = Asked([of_path(place, tmp_path) for place in places], str, Redactor().text)

    def scan() -> list[tuple[str, list[str]]]:
        bodies = look(elsewhere, asked, NOW).bodies
        tell(line.redis, elsewhere, bodies, machine.move)
        machine.move()
        return [(Path(body.place).name, [one.name for one in body.skills]) for body in bodies]

    assert scan() == [("one", ["chat", "mail"]), ("two", ["chat", "mail"])]
    assert scan() == []
    shutil.rmtree(places[0] / "mail")
    assert scan() == [("one", ["chat"])]
    shutil.rmtree(places[1])
    assert scan() == [("two", [])]
    assert scan() == []
    assert put_back(line.redis, machine.settings) == ["catalogue"]
    assert machine.published() == {"chat"}
    (elsewhere.data_dir / "skills.told").write_text("{")
    assert scan() == [("one", ["chat"])]


def test_what_was_published_wrongly_is_mended_by_a_scan_that_finds_nothing_new(machine: Machine) -> None:
    machine.scan()
    machine.line.redis.delete("karl:routing")
    machine.scan(NOW + 1000)
    assert machine.published() == {"pdf", "sheets", "ship"}


def body(
    place: str, *skills: SkillEntry, origin: str = "user", time_ms: int = 0, node: str = "n"
) -> SkillsBody:
    return SkillsBody(
        "", place, origin, skills, node, time_ms, tuple(Rule(one.name, one.name) for one in skills)
    )  # type: ignore[arg-type]


def test_the_nearest_then_the_latest_of_a_name_counts_and_the_others_are_told() -> None:
    found = merge(
        [
            body(
                "f.jsonl",
                SkillEntry("a", "of a file"),
                SkillEntry("b", "of a file"),
                origin="file",
                time_ms=9,
            ),
            body("~/.claude/skills", SkillEntry("a", "of a user"), node="one", time_ms=1),
            body("~/.claude/skills", SkillEntry("a", "of another machine"), node="two", time_ms=2),
            body(".claude/skills", SkillEntry("a", "of a project", project="p"), origin="project"),
        ]
    )
    assert [(one.skill.name, one.skill.description) for one in found.told] == [
        ("a", "of another machine"),
        ("a", "of a project"),
        ("b", "of a file"),
    ]
    assert {one.skill.description for one in found.hidden} == {"of a user", "of a file"}
    assert found.catalogue.names == {"a", "b"}
    assert [(rule.skill, rule.origin) for rule in found.catalogue.rules] == [("a", "user"), ("b", "user")]


def test_a_rule_of_two_places_is_one_of_the_nearest() -> None:
    rule = Rule("a", "x")
    near = SkillsBody("", "~/r", "user", (), "n", 0, (rule, Rule("a", "x", weight=2)))
    far = SkillsBody(
        "", "f", "file", (), "n", 0, (Rule("a", "x", origin="file"), Rule("a", "x", project="p"))
    )
    assert merged([far, near]).rules == (rule, Rule("a", "x", weight=2), Rule("a", "x", project="p"))


_BODIES = st.lists(
    st.builds(
        body,
        st.sampled_from(["~/.claude/skills", "~/.agents/skills", "/x"]),
        st.builds(
            SkillEntry, st.sampled_from("ab"), st.sampled_from("xyz"), project=st.sampled_from(["", "p"])
        ),
        origin=st.sampled_from(["user", "project", "plugin", "file"]),
        time_ms=st.integers(0, 3),
        node=st.sampled_from("mn"),
    ),
    max_size=6,
    unique_by=lambda one: (one.place, one.node, one.origin, one.time_ms),
)


@given(bodies=_BODIES, data=st.data())
def test_places_in_any_order_are_one_catalogue(bodies: list[SkillsBody], data: st.DataObject) -> None:
    assert merged(data.draw(st.permutations(bodies))) == merged(bodies)
