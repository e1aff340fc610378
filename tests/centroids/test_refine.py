"""Changes to exemplars: proposed by cross-validation, kept only where prompts that nobody had seen say so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from karl.routing.exemplars import Chosen, Piece
from karl.routing.refine import Said, confused, crossed, fold_of, one_round, proposals, suspects


def piece(number: int, skill: str, text: str, session: str = "") -> Piece:
    return Piece(
        f"trajectory:t{number}:{skill}", skill, text, "prompt", "called", number, session or f"s{number}"
    )


def votes(chosen: Chosen, of: Sequence[Piece]) -> list[Said]:
    """A router that can be worked out by hand: each exemplar with the same first word is a vote."""
    said = []
    for one in of:
        told = Counter(other.skill for other in chosen.pieces if other.text.split()[0] == one.text.split()[0])
        total = told.total() or 1
        known = {other.skill for other in chosen.pieces}
        said.append(Said(one, {skill: told[skill] / total for skill in known}))
    return said


def clean(skills: Sequence[tuple[str, str]], each: int, start: int = 0) -> list[Piece]:
    """Prompts of skills, each with a first word of its own."""
    return [
        piece(start + 100 * at + number, skill, f"{word} thing {number}")
        for at, (skill, word) in enumerate(skills)
        for number in range(each)
    ]


TWO = (("cut", "cut"), ("join", "join"))
THINGS = [f"thing{letter}" for letter in "abcdefghijklmnopqrst"]


def things(chosen: Chosen, of: Sequence[Piece]) -> list[Said]:
    """A router that knows everything, but for what is near to a mislabelled prompt that it has learned."""
    spoilt = {one.text.split()[1] for one in chosen.pieces if one.text.split()[0] != one.skill}
    said = []
    for one in of:
        own, thing, *rest = one.text.split()
        misled = rest[:1] == ["near"] and thing in spoilt
        said.append(Said(one, {"join": 0.4, "cut": 0.3} if misled else {"cut": 0.0, "join": 0.0, own: 1.0}))
    return said


def test_a_prompt_is_judged_without_its_own_session() -> None:
    alone = [piece(1, "join", "rare one", "same"), piece(2, "join", "rare two", "same")]
    said = crossed(Chosen(tuple(alone + clean(TWO, 8)), ()), votes)
    assert {one.piece.text: one.right for one in said if "rare" in one.piece.text} == {
        "rare one": False,
        "rare two": False,
    }


def test_each_prompt_is_judged_once() -> None:
    pieces = clean(TWO, 9)
    said = crossed(Chosen(tuple(pieces), ()), votes)
    assert sorted(one.piece for one in said) == sorted(pieces)
    assert len({fold_of(one) for one in pieces}) > 1


def test_a_mislabelled_prompt_is_suspected_and_a_given_one_is_not() -> None:
    wrong = piece(900, "join", "cut the video")
    given = piece(901, "join", "cut the sound")._replace(source="exemplar:x", how="manual")
    said = crossed(Chosen((*clean(TWO, 10), wrong, given), ()), votes)
    assert suspects(said) == [wrong]


def test_the_only_prompts_of_a_skill_are_no_mistake_of_whoever_has_not_seen_them() -> None:
    alone = [piece(900 + at, "paste", f"cut rare {at}", "one session") for at in range(3)]
    said = crossed(Chosen((*clean(TWO, 10), *alone), ()), votes)
    assert not [one for one in said if one.piece in alone and one.right]
    assert not suspects(said)
    assert not confused(said)


def test_one_error_is_no_pair() -> None:
    said = crossed(Chosen((*clean(TWO, 10), piece(900, "join", "cut the video")), ()), votes)
    assert not confused(said)


def mislabelled() -> Chosen:
    """Twenty things to cut and to join; of five things there is a prompt under the wrong skill, and one near it."""
    right = [piece(at, "cut", f"cut {thing}") for at, thing in enumerate(THINGS)]
    right += [piece(100 + at, "join", f"join {thing}") for at, thing in enumerate(THINGS)]
    wrong = [piece(200 + at, "join", f"cut {thing} {at}") for at, thing in enumerate(THINGS[:5])]
    near = [piece(300 + at, "cut", f"cut {thing} near") for at, thing in enumerate(THINGS[:5])]
    return Chosen((*right, *wrong, *near), ())


def test_dropping_mislabelled_prompts_is_kept_when_new_prompts_prove_it() -> None:
    latest = [piece(900 + at, "cut", f"cut {thing} near {at}") for at, thing in enumerate(THINGS[:5] * 6)]
    found = one_round(mislabelled(), latest, {}, things, tail=0.025, told=_quiet)
    assert found.pair is not None
    assert (found.pair.second_share, found.pair.first_share) == (0.0, 1.0)
    assert [one.what for one in found.kept] == ["drop"]
    assert sorted(one.text for one in found.kept[0].pieces) == [f"cut {THINGS[at]} {at}" for at in range(5)]


def test_nothing_is_kept_where_the_held_out_prompts_are_too_few_to_prove_it() -> None:
    latest = [piece(900 + at, "cut", f"cut {thing} near new") for at, thing in enumerate(THINGS[:3])]
    found = one_round(mislabelled(), latest, {}, things, tail=0.025, told=_quiet)
    assert found.pair is not None
    assert found.pair.difference == 1.0
    assert not found.kept


def test_nothing_is_proposed_where_nothing_is_confused() -> None:
    found = one_round(
        Chosen(tuple(clean(TWO, 10)), ()), clean(TWO, 5, 5000), {}, votes, tail=0.025, told=_quiet
    )
    assert found.tried == ()
    assert found.pair is None
    assert found.kept == ()


def test_a_pair_that_is_confused_is_given_further_prompts_of_both_sides_as_contrast() -> None:
    said = [Said(piece(at, "cut", f"x {at}"), {"join": 0.6, "cut": 0.4}) for at in range(3)]
    said += [Said(piece(10 + at, "join", f"y {at}"), {"join": 0.9, "cut": 0.1}) for at in range(3)]
    more = {"cut": clean((("cut", "further"),), 5, 700), "join": clean((("join", "other"),), 5, 800)}
    (found,) = [one for one in proposals(said, more) if one.what == "contrast"]
    assert (found.skill, found.other) == ("cut", "join")
    assert Counter(one.skill for one in found.pieces) == {"cut": 3, "join": 3}
    after = found.to(Chosen(tuple(one.piece for one in said), ()))
    assert {one.text for one in after.pieces if one.kind == "contrast"} == {one.text for one in found.pieces}


def _quiet(_done: int, _total: int) -> None:
    pass
