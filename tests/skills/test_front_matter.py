"""Every dialect of front-matter that is about is read, and what is none is read for what was meant."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from karl.routing.rules import Rules
from karl.skills.entry import Of, entry
from karl.skills.front_matter import FRONT_MAX, by_line, read_front_matter
from karl.skills.told import Told
from tests.skills.writing import fields, only, read, skill, whys


def told(text: str, folder: str = "the-folder") -> Told:
    front = read_front_matter(text)
    return entry(front.fields, front.body, otherwise=folder, of=Of("user"), digest="d", where="file")


def test_plain_yaml_is_read_without_a_word() -> None:
    front = read_front_matter("---\nname: pdf\ndescription: Reads PDFs.\n---\nBody.\n")
    assert front.fields == {"name": "pdf", "description": "Reads PDFs."}
    assert front.body == "Body.\n"
    assert front.problems == ()


@pytest.mark.parametrize(
    "value", ["on", "yes", "1.0", "2026-01-31", "0x10", "!!int 3", "!!python/object:os.system ls"]
)
def test_a_value_is_text_whatever_yaml_would_make_of_it(value: str) -> None:
    read = read_front_matter(f"---\nname: {value}\n---\n").fields["name"]
    assert isinstance(read, str)
    assert read == value.rpartition(" ")[2]


@pytest.mark.parametrize("nothing", ["", "~", "null"])
def test_no_value_is_none(nothing: str) -> None:
    assert read_front_matter(f"---\nname: {nothing}\n---\n").fields == {"name": None}


@pytest.mark.parametrize("text", ["''", "'~'", '"null"'])
def test_what_stands_in_quotes_is_a_text(text: str) -> None:
    assert read_front_matter(f"---\nname: {text}\n---\n").fields == {"name": text[1:-1]}


@pytest.mark.parametrize("end", ["---", "...", "---  "])
def test_front_matter_ends_with_dashes_or_dots(end: str) -> None:
    front = read_front_matter(f"---\nname: x\n{end}\nBody")
    assert (front.fields, front.body, front.problems) == ({"name": "x"}, "Body", ())


def test_levels_that_nobody_writes_by_hand_are_refused() -> None:
    deep = read_front_matter(f"---\nname: x\nmetadata: {'[' * 20}{']' * 20}\n---\n")
    assert deep.fields["name"] == "x"
    assert "levels" in deep.problems[0]


def test_an_unquoted_colon_is_part_of_the_sentence() -> None:
    front = read_front_matter("---\nname: pdf\ndescription: Use when: somebody has a PDF\n---\n")
    assert front.fields == {"name": "pdf", "description": "Use when: somebody has a PDF"}
    assert "line by line" in front.problems[0]


def test_a_bracket_at_the_start_and_a_colon_later_is_a_sentence() -> None:
    assert told("---\ndescription: [beta] Makes: things\n---\n").skill.description == "[beta] Makes: things"


@pytest.mark.parametrize(
    ("mark", "expected"), [(">", "one two"), (">-", "one two"), ("|", "one\ntwo"), ("|-", "one\ntwo")]
)
def test_blocks_are_folded_or_kept_by_either_reader(mark: str, expected: str) -> None:
    text = f"description: {mark}\n  one\n  two\n"
    assert told(f"---\n{text}---\n").skill.description == expected
    assert by_line(text)["description"] == expected


def test_lines_that_go_on_belong_to_the_field_above() -> None:
    text = "---\nname: x\ndescription: Use when: it\n  rains, and\n  pours\nNote: also snow\nallowed-tools: Read\n---\n"
    read = read_front_matter(text)
    assert read.fields["description"] == "Use when: it rains, and pours Note: also snow"
    assert read.fields["allowed-tools"] == "Read"


def test_quotes_are_taken_off_by_either_reader() -> None:
    for quoted in ('"Says: \\"hello\\""', "'Says: \"hello\"'"):
        assert told(f"---\ndescription: {quoted}\n---\n").skill.description == 'Says: "hello"'
        assert by_line(f"description: {quoted}")["description"] == 'Says: "hello"'


@pytest.mark.parametrize("start", ["\ufeff", "\n\n", "\ufeff\n"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_byte_order_mark_and_line_ends_of_other_systems_change_nothing(start: str, end: str) -> None:
    text = start + "---\nname: pdf\ndescription: >\n  one\n  two\ntriggers:\n- a b\n---\nBody\n".replace(
        "\n", end
    )
    made = told(text)
    assert (made.skill.name, made.skill.description) == ("pdf", "one two")
    assert not [problem for problem in made.problems if problem.lost]


def test_without_front_matter_the_folder_and_the_first_paragraph_speak() -> None:
    made = told(
        "# Heading\n\n<!-- a\ncomment -->\n\n```sh\nrun\n```\n\nIt does\nthis.\n\nMore.\n", "my-skill"
    )
    assert (made.skill.name, made.skill.description) == ("my-skill", "It does this.")
    assert "no description" in whys(made.problems)


def test_front_matter_that_is_never_closed_ends_at_the_first_empty_line() -> None:
    front = read_front_matter("---\nname: pdf\ndescription: Reads\n\n# Heading\nText\n")
    assert front.fields == {"name": "pdf", "description": "Reads"}
    assert "closing" in front.problems[0]
    assert "Text" in front.body


def test_toml_between_plus_signs_is_read() -> None:
    front = read_front_matter('+++\nname = "pdf"\nkeywords = ["a", "b"]\n+++\nText')
    assert front.fields == {"name": "pdf", "keywords": ["a", "b"]}
    assert "not TOML" in read_front_matter("+++\nname: pdf\n+++\n").problems[0]


def test_an_alias_is_refused_and_the_rest_is_read_by_line() -> None:
    bomb = "a: &a [x, x]\n" + "".join(
        f"{b}: &{b} [*{a}, *{a}, *{a}, *{a}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    )
    front = read_front_matter(f"---\nname: bomb\n{bomb}---\n")
    assert front.fields["name"] == "bomb"
    assert "aliases are not followed" in front.problems[0]
    assert len(str(front.fields)) < 2 * len(bomb)


@pytest.mark.parametrize(
    "hostile",
    [
        "[" * 20_000,
        "{" * 20_000,
        "- " * 20_000,
        "? " * 20_000,
        "a: " * 20_000,
        '"' + "\\" * 20_000,
        "&a " * 20_000,
        "!" * 20_000,
        "|\n" * 20_000,
        "[a," * 20_000,
        "k:\n" * 20_000,
        "\x00\x01\ufffe\ud800",
        "%YAML 9.9\n---\n--- a\n--- b",
        "<<: {a: b}",
        "? [a, b]\n: c",
        "x" * (FRONT_MAX + 10),
    ],
)
def test_hostile_text_loses_nothing_that_was_said_plainly(hostile: str) -> None:
    made = told(f"---\nname: sound\ndescription: It is sound.\n{hostile}\n---\nText")
    assert made.skill.name == "sound"
    assert made.skill.description.startswith("It is sound.")


def test_a_field_that_is_there_twice_is_told() -> None:
    front = read_front_matter("---\nname: a\nname: b\n---\n")
    assert front.fields == {"name": "b"}
    assert "twice" in front.problems[0]


@pytest.mark.parametrize("name", ["when_to_use", "when-to-use", "whenToUse", "When To Use", "when"])
def test_when_to_use_goes_by_many_names(name: str) -> None:
    made = entry({name: "When it rains"}, "", otherwise="x", of=Of("user"), digest="", where="")
    assert made.skill.when == "When it rains"


@pytest.mark.parametrize(
    "value", ["a b, c", "[a b, c]", "\n  - a b\n  - c", "\n- a b\n- 'c'", "a b; c", "|\n  a b\n  c"]
)
def test_triggers_are_lists_or_texts_and_vote_as_whole_words(value: str) -> None:
    rules = Rules(told(f"---\nname: sk\ntriggers: {value}\n---\n").rules)
    assert rules.pick("now  A  B then") == "sk"
    assert rules.pick("just c") == "sk"
    assert rules.pick("ab cd") is None


def test_a_sentence_among_the_triggers_says_when_instead() -> None:
    made = told(f"---\nname: sk\ntriggers:\n  - go\n  - {'a very long sentence ' * 8}\n---\n")
    assert made.skill.when.startswith("a very long sentence")


def test_fields_under_metadata_count_where_no_other_does() -> None:
    made = told("---\nname: sk\nmetadata:\n  name: other\n  keywords: zebra\n---\n")
    assert made.skill.name == "sk"
    assert Rules(made.rules).pick("a zebra") == "sk"


def test_patterns_are_rules_with_weights_and_a_bad_one_is_told() -> None:
    text = "---\nname: sk\npatterns:\n  - '\\bfoo\\d+'\n  - pattern: bar\n    weight: 3\n  - '('\n  - '.*'\n---\n"
    made = told(text)
    assert {(rule.pattern, rule.weight) for rule in made.rules} >= {("\\bfoo\\d+", 1.0), ("bar", 3.0)}
    lost = [problem for problem in made.problems if problem.lost]
    assert len(lost) == 2
    assert "missing )" in lost[0].why
    assert "every prompt" in lost[1].why


def test_examples_are_prompts_with_commas_in_them() -> None:
    text = "---\nexamples:\n  - Merge these, please\n  - prompt: And split that\n---\n"
    assert told(text).skill.examples == ("Merge these, please", "And split that")
    assert told("---\nexamples: |\n  One, two\n  - Three\n---\n").skill.examples == ("One, two", "Three")


@pytest.mark.parametrize(
    ("said", "model", "user"),
    [
        ("disable-model-invocation: true", False, True),
        ("disable-model-invocation: 'Yes'", False, True),
        ("disable_model_invocation: false", True, True),
        ("user-invocable: no", True, False),
        ("user-invocable: perhaps", True, True),
    ],
)
def test_who_may_start_it(said: str, model: bool, user: bool) -> None:
    made = told(f"---\nname: x\n{said}\n---\n")
    assert (made.skill.model_invocable, made.skill.user_invocable) == (model, user)
    assert ("neither true nor false" in whys(made.problems)) == ("perhaps" in said)


@pytest.mark.parametrize("odd", ["Pair Programming", "a/b", "x" * 65, "'quoted\"'", "?"])
def test_a_name_that_nobody_can_call_gives_way_to_the_folders(odd: str) -> None:
    made = entry({"name": odd}, "", otherwise="pair-programming", of=Of("user"), digest="", where="")
    assert made.skill.name == "pair-programming"


def test_a_name_has_no_letters_that_turn_a_line_around() -> None:
    made = entry({"name": "\u202eevil\x1b"}, "", otherwise="", of=Of("user"), digest="", where="")
    assert made.skill.name == "evil"


def test_a_name_that_is_not_the_folders_is_told_and_both_are_looked_for() -> None:
    made = told("---\nname: tables\n---\n", "spreadsheet-tables")
    assert made.skill.name == "tables"
    assert "its folder" in whys(made.problems)
    assert Rules(made.rules).pick("with the spreadsheet tables one") == "tables"


def test_a_long_description_is_kept_beyond_what_agents_show() -> None:
    made = told(f"---\ndescription: {'word ' * 400}\n---\n")
    assert len(made.skill.description) == 1999
    assert "agents show 1,536" in whys(made.problems)
    assert len(told(f"---\ndescription: {'word ' * 4000}\n---\n").skill.description) == 4000


_NAMES = st.from_regex(r"[a-z][a-z0-9-]{0,30}", fullmatch=True)
_TEXTS = st.text(
    st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp"), exclude_characters="\ufeff\ufffe\uffff"),
    min_size=1,
    max_size=300,
)


@settings(max_examples=100, deadline=None)
@given(name=_NAMES, description=_TEXTS, when=_TEXTS, examples=st.lists(_TEXTS, max_size=4))
def test_what_a_yaml_writer_writes_is_read_back(
    name: str, description: str, when: str, examples: list[str]
) -> None:
    import yaml

    wanted = {"name": name, "description": description.strip(), "when_to_use": when.strip()}
    made = read_front_matter(
        f"---\n{yaml.safe_dump({**wanted, 'examples': examples}, allow_unicode=True)}---\nText"
    )
    read = {key: (value or "") for key, value in made.fields.items()}
    assert {key: read[key] for key in wanted} == wanted
    assert [item or "" for item in made.fields["examples"] or []] == examples


@settings(max_examples=200, deadline=None)
@given(text=st.text(max_size=400), wrap=st.booleans())
def test_no_text_at_all_is_too_odd(text: str, wrap: bool) -> None:
    made = told(f"---\nname: x\n{text}\n---\n" if wrap else text)
    assert made.skill.name
    for rule in made.rules:
        assert Rules([rule]).problems == ()


@settings(max_examples=100, deadline=None)
@given(
    data=st.dictionaries(
        st.sampled_from(
            [
                "name",
                "description",
                "triggers",
                "keywords",
                "patterns",
                "examples",
                "user-invocable",
                "metadata",
                "when",
            ]
        ),
        st.recursive(
            st.none() | st.text(max_size=30) | st.integers() | st.floats() | st.booleans(),
            lambda inner: (
                st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
            ),
            max_leaves=8,
        ),
    )
)
def test_fields_of_any_shape_make_a_skill(data: dict[str, Any]) -> None:
    made = entry(data, "", otherwise="folder", of=Of("user"), digest="", where="")
    assert made.skill.name
    assert all(isinstance(example, str) for example in made.skill.examples)


def test_a_file_of_another_coding_is_read_for_what_it_can_be(tmp_path: Path) -> None:
    path = skill(tmp_path, "café", "")
    path.write_bytes(fields(name="cafe", description="na\u00efve").encode("latin-1"))
    assert only(read(tmp_path)).description == "na\ufffdve"
    path.write_bytes(fields(name="cafe", description="na\u00efve").encode("utf-16"))
    assert only(read(tmp_path)).description == "na\u00efve"


@pytest.mark.parametrize(
    "text",
    [
        "a: [b, ~, 'null']\nc: {d: on}",
        "a: *b",
        "a: |\n  x\n",
        "a: b: c",
        "x\x00",
        "- a",
        "",
        "a: &x 1\nb: 2",
        "a\n---\nb",
    ],
)
def test_the_slower_reader_of_yaml_says_the_same(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import yaml

    fast = read_front_matter(f"---\n{text}\n---\n")
    monkeypatch.delattr(yaml, "CBaseLoader", raising=False)
    slow = read_front_matter(f"---\n{text}\n---\n")
    assert fast.fields == slow.fields
    assert bool(fast.problems) == bool(slow.problems)
