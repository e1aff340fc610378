"""Folders of skills as they are found on disks: nested, linked, broken, huge."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from karl.routing.rules import Rules
from karl.skills import files
from karl.skills.places import of_path, of_project, of_user
from karl.skills.read import read_place
from tests.skills.writing import fields, only, read, skill, whys

HOME = Path("/home/nobody")


def test_skills_are_found_in_folders_and_below(tmp_path: Path) -> None:
    skill(tmp_path, "one", fields(name="one", description="First."))
    skill(tmp_path, "group/two", fields(name="two", description="Second."), "skill.md")
    skill(tmp_path, "three", fields(description="Third."), "Skill.MD")
    (tmp_path / "README.md").write_text("no skill")
    (tmp_path / "empty").mkdir()
    told = read(tmp_path)
    assert {one.name: one.description for one in told.skills} == {
        "one": "First.",
        "two": "Second.",
        "three": "Third.",
    }
    assert told.problems == ()


def test_the_folder_named_may_be_a_skill_itself_and_so_may_a_file(tmp_path: Path) -> None:
    path = skill(tmp_path, "pdf", "No front-matter.")
    assert only(read(path.parent)).name == "pdf"
    assert only(read(path)).name == "pdf"


def test_a_skills_papers_hold_no_skills_but_its_skills_folder_does(tmp_path: Path) -> None:
    skill(tmp_path, "maker", fields(name="maker"))
    skill(tmp_path, "maker/templates/thing", fields(name="template"))
    skill(tmp_path, "maker/skills/inner", fields(name="inner"))
    assert {one.name for one in read(tmp_path).skills} == {"maker", "inner"}


def test_folders_of_tools_are_passed_over(tmp_path: Path) -> None:
    for name in (".git", "node_modules", "__pycache__"):
        skill(tmp_path, f"{name}/hidden", fields(name="hidden"))
    assert read(tmp_path).skills == ()


def test_a_link_out_of_the_folder_is_told_and_not_followed(tmp_path: Path) -> None:
    skill(tmp_path, "outside/secret", fields(name="secret"))
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "linked").symlink_to(tmp_path / "outside" / "secret")
    path = skill(inside, "by-file", "")
    path.unlink()
    path.symlink_to(tmp_path / "outside" / "secret" / "SKILL.md")
    told = read(inside)
    assert told.skills == ()
    assert [problem.lost for problem in told.problems] == [True, True]
    assert str(tmp_path / "outside" / "secret") in whys(told.problems)


def test_a_link_to_what_is_read_anyhow_needs_no_word(tmp_path: Path) -> None:
    skill(tmp_path, "store/tool", fields(name="tool"))
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "tool").symlink_to(tmp_path / "store" / "tool")
    (inside / "self").symlink_to(inside)
    told = read_place(of_path(inside, HOME), str, [tmp_path / "store"])
    assert (told.skills, told.problems) == ((), ())


def test_the_folder_that_somebody_named_may_be_a_link(tmp_path: Path) -> None:
    skill(tmp_path, "store/tool", fields(name="tool"))
    (tmp_path / "named").symlink_to(tmp_path / "store")
    assert only(read(tmp_path / "named")).name == "tool"
    (tmp_path / "file.md").symlink_to(tmp_path / "store" / "tool" / "SKILL.md")
    assert only(read(tmp_path / "file.md")).description == "The text."


def test_loops_of_links_end(tmp_path: Path) -> None:
    skill(tmp_path, "a", fields(name="a"))
    (tmp_path / "a" / "up").symlink_to("..")
    (tmp_path / "x").symlink_to(tmp_path / "y")
    (tmp_path / "y").symlink_to(tmp_path / "x")
    assert only(read(tmp_path)).name == "a"


def test_what_is_no_plain_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "pipe").mkdir()
    os.mkfifo(tmp_path / "pipe" / "SKILL.md")
    (tmp_path / "folder" / "SKILL.md").mkdir(parents=True)
    skill(tmp_path, "sound", fields(name="sound"))
    told = read(tmp_path)
    assert only(told).name == "sound"
    assert "no plain file" in whys(told.problems)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_told(tmp_path: Path) -> None:
    path = skill(tmp_path, "closed", fields(name="closed"))
    path.chmod(0)
    shut = tmp_path / "shut"
    shut.mkdir(0)
    told = read(tmp_path)
    shut.chmod(0o700)
    assert told.skills == ()
    assert len([problem for problem in told.problems if problem.lost]) == 2


def test_of_a_huge_file_the_beginning_counts(tmp_path: Path) -> None:
    skill(tmp_path, "huge", fields(name="huge", description="Big.") + "x" * (files.FILE_MAX + 1))
    told = read(tmp_path)
    assert only(told).description == "Big."
    assert "its beginning was read" in whys(told.problems)


def test_deep_folders_end(tmp_path: Path) -> None:
    deep = "/".join(["d"] * (files.LEVELS_MAX + 3))
    skill(tmp_path, deep, fields(name="deep"))
    told = read(tmp_path)
    assert told.skills == ()
    assert "levels are the most" in whys(told.problems)


def test_of_two_skills_of_one_name_the_first_counts_and_the_second_is_told(tmp_path: Path) -> None:
    skill(tmp_path, "a/same", fields(name="same", description="First."))
    skill(tmp_path, "b/same", fields(name="same", description="Second."))
    told = read(tmp_path)
    assert only(told).description == "First."
    assert "twice" in whys(told.problems)


def test_names_of_files_that_are_no_text_are_read(tmp_path: Path) -> None:
    skill(tmp_path, os.fsdecode(b"caf\xe9"), "It works.")
    told = read(tmp_path)
    only(told).name.encode()
    assert only(told).description == "It works."


def test_thousands_of_folders_are_read(tmp_path: Path) -> None:
    for number in range(1_500):
        folder = tmp_path / f"skill-{number}"
        folder.mkdir()
        (folder / "SKILL.md").write_text(f"---\nname: skill-{number}\ndescription: Does {number}.\n---\n")
    told = read(tmp_path)
    assert len(told.skills) == 1_500
    assert told.problems == ()
    assert Rules(told.rules).pick("use skill 77 now") == "skill-77"


def test_commands_are_skills_too(tmp_path: Path) -> None:
    commands = tmp_path / "commands"
    skill(commands, ".", "---\ndescription: Ships it\nname: another\n---\nGo.", "ship.md")
    skill(commands, "front/end", "Makes a page.\n\nMore.", "page.md")
    skill(commands, ".", "about these", "README.md")
    skill(commands, "tool", fields(description="A skill among commands."))
    told = read(commands)
    assert {one.name: one.description for one in told.skills} == {
        "ship": "Ships it",
        "front:end:page": "Makes a page.",
        "tool": "A skill among commands.",
    }


def test_commands_in_toml_are_read_and_broken_ones_told(tmp_path: Path) -> None:
    commands = tmp_path / "commands"
    skill(commands, "git", 'description = "Commits."\nprompt = """\nCommit all.\n"""\n', "commit.toml")
    skill(commands, ".", 'prompt = "Explains a file."\n', "explain.toml")
    skill(commands, ".", "prompt = [", "broken.toml")
    told = read(commands)
    assert {one.name: one.description for one in told.skills} == {
        "git:commit": "Commits.",
        "explain": "Explains a file.",
    }
    assert "not TOML" in whys(tuple(problem for problem in told.problems if problem.lost))


def test_a_users_places_are_those_named_and_what_stands_beside(tmp_path: Path) -> None:
    skill(tmp_path, ".claude/skills/one", fields(name="one"))
    skill(tmp_path, ".agents/skills/two", fields(name="two"))
    skill(tmp_path, ".claude/commands", "Three.", "three.md")
    (tmp_path / "rules.toml").write_text('[[rule]]\nskill = "one"\nwords = ["uno"]\n')
    places = of_user([tmp_path / ".claude" / "skills"], tmp_path / "rules.toml", tmp_path)
    told = [read_place(place, str) for place in places]
    there = {one.place.name: [skill.name for skill in one.skills] for one in told if one.is_there}
    assert there == {
        "~/.claude/skills": ["one"],
        "~/.claude/commands": ["three"],
        "~/.agents/skills": ["two"],
        "~/rules.toml": [],
    }
    assert len({place.path for place in places}) == len(places)


def test_a_projects_places_are_below_its_folder_and_its_rules_count_there_alone(tmp_path: Path) -> None:
    skill(tmp_path, ".claude/skills/deploy", fields(name="deploy", triggers="ship it"))
    skill(
        tmp_path,
        ".karl",
        '[[rule]]\nskill = "deploy"\nwords = ["release"]\nproject = "another"\n',
        "rules.toml",
    )
    told = [read_place(place, str) for place in of_project(tmp_path, "shop", HOME)]
    rules = Rules(rule for one in told for rule in one.rules)
    assert [skill.project for one in told for skill in one.skills] == ["shop"]
    for text in ("ship it", "the release"):
        assert rules.pick(text, "shop") == "deploy"
        assert rules.pick(text) is None
        assert rules.pick(text, "another") is None


def test_a_place_that_is_not_there_is_no_fault(tmp_path: Path) -> None:
    told = read(tmp_path / "nowhere")
    assert (told.is_there, told.skills, told.problems) == (False, (), ())
