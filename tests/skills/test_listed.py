"""Skills that a file lists, and lists of real ones: read, written as folders, and read back the same."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import msgspec
import pytest

from karl.schema.routing import SkillEntry
from tests.skills.writing import only, read, skill, whys

ROW = {
    "name": "pdf",
    "description": "Reads: PDFs",
    "triggers": ["a pdf"],
    "project": "shop",
    "more": {"x": 1},
}


def listed(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("skills.jsonl", json.dumps(ROW) + "\n\n"),
        ("skills.json", json.dumps([ROW])),
        ("skills.json", json.dumps({"skills": [ROW]})),
        ("skills.json", json.dumps(ROW)),
        ("skills.json", json.dumps({"pdf": {key: value for key, value in ROW.items() if key != "name"}})),
        ("lines.json", json.dumps(ROW) + "\n" + json.dumps(ROW) + "\n"),
        (
            "skills.toml",
            '[[skill]]\nname = "pdf"\ndescription = "Reads: PDFs"\ntriggers = ["a pdf"]\nproject = "shop"\n',
        ),
        (
            "skills.toml",
            '[[skills]]\nname = "pdf"\ndescription = "Reads: PDFs"\ntriggers = "a pdf"\nproject = "shop"\n',
        ),
    ],
)
def test_a_file_lists_skills_in_any_of_its_forms(tmp_path: Path, name: str, text: str) -> None:
    told = read(listed(tmp_path, name, text))
    one = only(told)
    assert (one.name, one.description, one.project) == ("pdf", "Reads: PDFs", "shop")
    assert [rule.project for rule in told.rules] == ["shop", "shop"]
    assert not [problem for problem in told.problems if problem.lost]


def test_names_to_descriptions_are_a_list_too(tmp_path: Path) -> None:
    told = read(listed(tmp_path, "s.json", '{"pdf": "Reads PDFs", "xlsx": {"description": "Reads sheets"}}'))
    assert {one.name: one.description for one in told.skills} == {"pdf": "Reads PDFs", "xlsx": "Reads sheets"}


@pytest.mark.parametrize("key", ["name", "skill", "id"])
def test_a_rows_name_goes_by_several_names_and_may_be_any(tmp_path: Path, key: str) -> None:
    told = read(listed(tmp_path, "s.jsonl", json.dumps({key: "card arrival", "description": "d"})))
    assert only(told).name == "card arrival"


def test_a_list_may_have_rules(tmp_path: Path) -> None:
    text = '[[skill]]\nname = "pdf"\ndescription = "d"\n[[rule]]\nskill = "pdf"\nwords = ["papers"]\n'
    told = read(listed(tmp_path, "s.toml", text))
    assert "\\bpapers\\b" in {rule.pattern for rule in told.rules}


def test_a_row_that_is_none_is_told_by_its_line_and_the_others_stay(tmp_path: Path) -> None:
    text = '{"name": "a", "description": "d"}\n{oops\n{"description": "nameless"}\n3\n{"name": "b", "description": "d"}\n'
    told = read(listed(tmp_path, "s.jsonl", text))
    assert [one.name for one in told.skills] == ["a", "b"]
    assert told.problems[0].where.endswith(":2")
    assert whys(told.problems).count("it has no name") == 2


@pytest.mark.parametrize("text", ["", "{", "3", "null", "[[[[", "[" * 5000, '{"name": "\\ud800"}', "\x00"])
@pytest.mark.parametrize("name", ["s.json", "s.jsonl", "s.toml"])
def test_a_file_that_is_no_list_is_a_problem_and_no_crash(tmp_path: Path, name: str, text: str) -> None:
    told = read(listed(tmp_path, name, text))
    assert all(problem.lost or "description" in problem.why for problem in told.problems)
    msgspec.json.encode(told.skills)


def test_ten_thousand_rows_are_read(tmp_path: Path) -> None:
    rows = "".join(
        f'{{"name": "skill-{number}", "description": "Does {number}."}}\n' for number in range(10_000)
    )
    told = read(listed(tmp_path, "s.jsonl", rows))
    assert len(told.skills) == 10_000
    assert len({one.digest for one in told.skills}) == 10_000


def real_rows(real_data: Path, tmp_path: Path) -> Path:
    """Take the lists of real skills out of the archive."""
    with tarfile.open(real_data / "fixtures.tar.xz") as archive:
        for member in archive:
            if member.name.endswith("skills/skills.jsonl"):
                archive.extract(member, tmp_path, filter="data")
                return tmp_path / member.name
    pytest.skip("no list of skills in the real data")


def test_real_skills_are_read_and_written_as_folders_and_read_back_the_same(
    real_data: Path, tmp_path: Path
) -> None:
    import yaml

    path = real_rows(real_data, tmp_path)
    rows: list[dict[str, Any]] = [json.loads(line) for line in path.read_text().splitlines()]
    from_list = read(path)
    assert from_list.problems == ()
    assert {one.name: one.description for one in from_list.skills} == {
        row["name"]: row["description"] for row in rows
    }

    styles: tuple[dict[str, Any], ...] = (
        {},
        {"width": 60},
        {"default_style": '"'},
        {"default_style": ">"},
        {"default_style": "|"},
    )
    folder = tmp_path / "written"
    for number, row in enumerate(rows):
        given = {"name": row["name"], "description": row["description"]}
        if number % (len(styles) + 1) == len(styles):  # as people write it: no quotes, whatever stands in it
            front = "".join(f"{key}: {value}\n" for key, value in given.items())
        else:
            front = yaml.safe_dump(
                given, allow_unicode=True, sort_keys=False, **styles[number % (len(styles) + 1)]
            )
        skill(folder, row["name"], f"---\n{front}---\n\n# {row['name']}\n")
    from_folders = read(folder)
    assert not [problem for problem in from_folders.problems if problem.lost]
    assert said(from_folders.skills) == said(from_list.skills)
    assert set(from_folders.rules) == {
        msgspec.structs.replace(rule, origin="user") for rule in from_list.rules
    }


def said(skills: tuple[SkillEntry, ...]) -> dict[str, SkillEntry]:
    return {one.name: msgspec.structs.replace(one, digest="") for one in skills}
