"""Rules vote: by weight, by project, the same in any order; a tie gives no pick, a bad rule harms no other."""

from __future__ import annotations

import hashlib
import math
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from karl.routing.rules import PATTERN_MAX, Rules, of_name, phrase, problem
from karl.routing.text import TEXT_MAX
from karl.schema.routing import Rule
from tests.skills.writing import read, whys


def test_the_most_votes_win() -> None:
    rules = Rules([Rule("a", "cat"), Rule("b", "cat", weight=0.6), Rule("b", "dog", weight=0.6)])
    assert rules.votes("cat and dog") == [("b", 1.2), ("a", 1.0)]
    assert rules.pick("cat and dog") == "b"
    assert rules.pick("cat alone") == "a"
    assert rules.pick("neither") is None


def test_a_tie_gives_no_pick_even_where_sums_round() -> None:
    rules = Rules(
        [
            Rule("a", "x", weight=0.3),
            Rule("b", "x", weight=0.1),
            Rule("b", "y", weight=0.1),
            Rule("b", "z", weight=0.1),
        ]
    )
    assert rules.pick("x y z") is None
    assert rules.pick("x") == "a"


def test_a_pattern_votes_once_for_a_skill_however_many_places_tell_it() -> None:
    rules = Rules(
        [
            Rule("a", "x"),
            Rule("a", "x", origin="file"),
            Rule("a", "x", project="p"),
            Rule("b", "x", weight=1.5),
        ]
    )
    assert rules.votes("x", "p") == [("b", 1.5), ("a", 1.0)]


def test_case_is_ignored_in_any_alphabet() -> None:
    rules = Rules([Rule("a", "straße"), Rule("b", phrase("ÉCOLE")), Rule("c", phrase("добрый день"))])
    assert rules.pick("STRAßE") == "a"
    assert rules.pick("une école!") == "b"
    assert rules.pick("ДОБРЫЙ   ДЕНЬ.") == "c"


@pytest.mark.parametrize(
    ("words", "yes", "no"),
    [
        ("pdf", "a PDF.", "pdfs"),
        ("c++", "write C++ now", "c+ +"),
        ("école", "l'école", "écoles"),
        ("日本", "日本語で", "本日"),
        (".env", "my .env file", "xenv"),
        ("fill in", "Fill\n in it", "fillin"),
        ("a.b", "a.b", "axb"),
    ],
)
def test_words_are_looked_for_as_they_stand(words: str, yes: str, no: str) -> None:
    rules = Rules([Rule("a", phrase(words))])
    assert rules.problems == ()
    assert rules.pick(yes) == "a"
    assert rules.pick(no) is None


@pytest.mark.parametrize(
    ("text", "pick"),
    [
        ("use the pdf skill", "pdf"),
        ("Use the `PDF` skill, please", "pdf"),
        ("with skill pdf", "pdf"),
        ("and then /pdf it", "pdf"),
        ("and then $pdf it", "pdf"),
        ("merge these pdf files", None),
        ("see https://host/pdf", None),
        ("open a/pdf", None),
        ("some test driven development", "plug:test-driven-development"),
        ("TEST_DRIVEN-DEVELOPMENT", "plug:test-driven-development"),
        ("plug:test-driven-development", "plug:test-driven-development"),
        ("test driven developments", None),
    ],
)
def test_a_skills_own_name_is_a_rule(text: str, pick: str | None) -> None:
    rules = Rules([*of_name("pdf"), *of_name("plug:test-driven-development"), *of_name("code-review")])
    assert rules.pick(text) == pick


def test_a_name_weighs_less_than_any_rule_that_somebody_wrote() -> None:
    rules = Rules([*of_name("code-review"), Rule("deploy", "ship", weight=0.5)])
    assert rules.pick("a code review before we ship") == "deploy"


def test_the_skill_that_is_called_just_so_wins_over_a_plugins() -> None:
    assert Rules([*of_name("pdf"), *of_name("office:pdf")]).pick("the pdf skill") == "pdf"
    assert Rules([*of_name("a:pdf"), *of_name("b:pdf")]).pick("the pdf skill") is None
    assert Rules([*of_name("a:pdf"), *of_name("b:pdf")]).pick("the b:pdf skill") == "b:pdf"


@pytest.mark.parametrize(
    "bad",
    ["(", "(?=x)", r"\1", "a{2000}", "", ".*", "x?", "x" * (PATTERN_MAX + 1), "\ud800", "(a{999}){999}"],
)
def test_a_bad_pattern_is_told_and_the_others_vote(bad: str) -> None:
    rules = Rules([Rule("a", "sound"), Rule("b", bad)])
    assert [one.rule.skill for one in rules.problems] == ["b"]
    assert rules.problems[0].why == problem(bad) != ""
    assert rules.pick("sound") == "a"


@pytest.mark.parametrize("weight", [0.0, -1.0, math.nan, math.inf, 1e9])
def test_a_weight_that_is_none_is_told(weight: float) -> None:
    rules = Rules([Rule("a", "x", weight=weight), Rule("b", "x")])
    assert len(rules.problems) == 1
    assert rules.pick("x") == "b"


def test_no_rules_pick_nothing_and_no_text_is_too_odd() -> None:
    assert Rules([]).pick("anything") is None
    assert Rules([Rule("a", "x")]).pick("\udcff\x00 x") == "a"


def test_what_stands_far_below_in_a_prompt_does_not_vote() -> None:
    rules = Rules([Rule("a", "needle")])
    assert rules.pick("." * (TEXT_MAX - 6) + "needle") == "a"
    assert rules.pick("." * TEXT_MAX + "needle") is None


_PIECES = st.sampled_from(
    ["cat", "dog", r"\bfish\b", "ca?t", "(?:dog|bird)s?", r"\d+", "[a-f]+x", "fish.*cat", "ö", "^cat", "dog$"]
)
_RULES = st.lists(
    st.builds(
        Rule,
        skill=st.sampled_from("abc"),
        pattern=st.lists(_PIECES, min_size=1, max_size=2).map("".join),
        project=st.sampled_from(["", "p", "q"]),
        weight=st.sampled_from([0.1, 0.2, 0.3, 1.0, 2.0]),
    ),
    max_size=12,
)
_PROMPTS = st.lists(
    st.sampled_from(["cat", "DOG", "fish", "dogs", "x1", "bird", "Ö", "ct", "facx", " "]), max_size=8
).map(" ".join)


@settings(max_examples=200, deadline=None)
@given(rules=_RULES, prompt=_PROMPTS, project=st.sampled_from(["", "p"]), data=st.data())
def test_votes_are_those_of_each_pattern_alone_in_any_order(
    rules: list[Rule], prompt: str, project: str, data: st.DataObject
) -> None:
    made = Rules(rules)
    best: dict[tuple[str, str], float] = {}
    for rule in rules:
        if rule.project in ("", project) and re.search(rule.pattern, prompt, re.IGNORECASE):
            key = (rule.skill, rule.pattern)
            best[key] = max(best.get(key, 0), rule.weight)
    expected: dict[str, float] = {}
    for (skill, _), weight in best.items():
        expected[skill] = expected.get(skill, 0) + weight
    votes = dict(made.votes(prompt, project))
    assert votes.keys() == expected.keys()
    assert all(math.isclose(votes[skill], expected[skill]) for skill in votes)
    top = sorted(expected.values(), reverse=True)
    assert (made.pick(prompt, project) is None) == (
        not top or (len(top) > 1 and math.isclose(top[0], top[1]))
    )
    assert Rules(data.draw(st.permutations(rules))).votes(prompt, project) == made.votes(prompt, project)


def test_thousands_of_rules_are_looked_for_together_and_none_is_lost() -> None:
    rules = Rules(Rule(f"skill-{number}", rf"\bword{number}\b.*\bend\b") for number in range(5000))
    for number in (0, 1, 2499, 4999):
        assert rules.pick(f"here is WORD{number} and its end") == f"skill-{number}"
    assert rules.pick("here is word17x and its end") is None


def test_long_patterns_are_looked_for_in_several_passes() -> None:
    texts = [f"{number:04}" * 240 for number in range(100)]
    rules = Rules(Rule(f"skill-{number}", text) for number, text in enumerate(texts))
    assert rules.problems == ()
    assert [rules.pick(texts[number]) for number in (0, 23, 99)] == ["skill-0", "skill-23", "skill-99"]


def test_patterns_that_are_too_much_for_one_pass_after_all_are_halved(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("karl.routing.rules._PASS_BYTES_MAX", 10_000_000)
    texts = [hashlib.sha512(b"%d" % number).hexdigest() * 7 for number in range(120)]
    rules = Rules(Rule(f"skill-{number}", text) for number, text in enumerate(texts))
    assert [rules.pick(texts[number]) for number in (0, 77, 119)] == ["skill-0", "skill-77", "skill-119"]


def rules_file(folder: Path, text: str) -> Path:
    path = folder / "rules.toml"
    path.write_text(text)
    return path


def test_a_file_of_rules_has_patterns_words_weights_and_projects(tmp_path: Path) -> None:
    text = """
        [[rule]]
        skill = "pdf"
        pattern = '\\bpdfs?\\b'
        weight = 2
        [[rule]]
        skill = "deploy"
        patterns = ["ship", "release"]
        words = ["go live"]
        project = "shop"
    """
    told = read(rules_file(tmp_path, text))
    assert told.problems == ()
    rules = Rules(told.rules)
    assert rules.votes("ship the pdf") == [("pdf", 2.0)]
    assert rules.votes("ship it, release it, go live", "shop") == [("deploy", 3.0)]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('[[rule]]\nskill = "b"\npattern = "("\n', "rule 2 (b)"),
        ('[[rule]]\nskill = "b"\n', "neither"),
        ('[[rule]]\npattern = "x"\n', "names no skill"),
        ('[[rule]]\nskill = "b"\npattern = "x"\nweight = "much"\n', "`weight` is no number"),
        ('[[rule]]\nskill = "b"\npattern = "x"\nweight = -1\n', "above 0"),
        ('[[rule]]\nskill = "b"\npattern = "x"\nproject = 3\n', "`project`"),
        ('[[rule]]\nskill = "b"\npatern = "x"\npattern = "y"\n', "patern is no field"),
        ("[other]\nx = 1\n", "other is nothing that is known"),
    ],
)
def test_a_rule_that_is_none_names_file_and_rule_and_the_others_stay(
    tmp_path: Path, text: str, why: str
) -> None:
    path = rules_file(tmp_path, f'[[rule]]\nskill = "a"\npattern = "sound"\n{text}')
    told = read(path)
    assert "a" in {rule.skill for rule in told.rules}
    assert [problem.lost for problem in told.problems] == [True]
    assert told.problems[0].where == str(path)
    assert why in whys(told.problems)


@pytest.mark.parametrize("text", ["rule = 3", "[[rule]", "\x00", "rule = [3]"])
def test_a_file_that_is_no_toml_or_has_no_rules_is_a_problem(tmp_path: Path, text: str) -> None:
    told = read(rules_file(tmp_path, text))
    assert told.rules == ()
    assert told.problems[0].lost
