"""Questions are what a commit's author would ask, answers what the patch did; rows of them are few, and marked."""

from __future__ import annotations

import hashlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from karl.learning.synthetic.questions import SESSION, TooLittle, Worked, apart, made_of, most_of, once, rows
from karl.learning.synthetic.subjects import body_of, is_revert, is_to_fold, says_something, subject_of
from tests.synthetic.making import BY, REDACTOR, body, told

OLD, NEW = "def f():\n    return 1\n", "def f():\n    return 2\n\n\ndef g():\n    return 3\n"


@pytest.mark.parametrize(
    ("message", "subject"),
    [
        ("feat(cart): add a total with tax (#123)", "cart: add a total with tax"),
        ("fix!: keep order of discounts", "keep order of discounts"),
        ("[SHOP-12] Round prices to cents", "Round prices to cents"),
        ("SHOP-12: round prices to cents, fixes #9", "round prices to cents"),
        (":sparkles: show stock levels ✨", "show stock levels"),
        ("Read UTF-8 names in tar files.", "Read UTF-8 names in tar files"),
        ("Tell @someone about <a.b@example.org> orders arriving", "Tell about orders arriving"),
        ("wip", ""), ("fix bug", ""), ("Update", ""), ("more fixes", ""), ("Release 1.2.3", ""), ("", ""),
        ("修复登录超时的问题并重试", "修复登录超时的问题并重试"),
    ],
)  # fmt: skip
def test_a_subject_is_taken_in_plain_words_or_not_at_all(message: str, subject: str) -> None:
    assert subject_of(message) == subject


def test_a_body_loses_its_trailers_its_people_and_its_tickets() -> None:
    message = (
        "Subject line here\n\nThe total was wrong for empty carts.\nSee https://example.org/x for more.\n\n"
        "Fixes #12\nSigned-off-by: A B <a@example.org>\nCo-authored-by: C <c@example.org>\nChange-Id: I123\n"
        "🤖 Generated with Something\n"
    )
    assert body_of(message) == "The total was wrong for empty carts. See for more."


def test_reverts_and_commits_to_be_folded_are_known_by_their_words() -> None:
    assert is_revert('Revert "Add it"\n\nThis reverts commit 1234567.')
    assert is_revert("Undo hats\n\nThis reverts commit 1234567.")
    assert not is_revert("Say how a revert is found")
    assert is_to_fold("fixup! Add it")
    assert not is_to_fold("Fixups come last")


@given(st.text())
def test_any_message_gives_plain_words(message: str) -> None:
    subject = subject_of(message)
    assert subject == "" or says_something(subject)
    assert "\n" not in subject
    assert subject.isprintable()
    assert body_of(message).isprintable()


def test_an_answer_says_what_was_done_and_nothing_of_plans_or_rewards() -> None:
    made = made_of(
        told("shop/cart.py", OLD, NEW, message="Add a second number\n\nIt was missed."),
        "shop",
        BY,
        REDACTOR.text,
    )
    assert made.body.question == (
        "What did the change “Add a second number” do in shop? It was described so: It was missed."
    )
    assert made.body.answer == (
        "Files touched: 1; tests among them: none.\n- changed `shop/cart.py`: 6 lines added, 2 removed\n"
        "- `shop/cart.py`: added function `g`\n- `shop/cart.py`: changed function `f`"
    ).replace("- changed `shop/cart.py`: 6 lines added, 2 removed\n", "")
    assert made.dropped == 1  # the patch of this test says more lines than can have changed
    assert made.body.files == ("shop/cart.py",)
    assert made.body.time_ms == 1_760_000_000_000


def test_the_same_commit_gives_the_same_record() -> None:
    one, two = (
        made_of(told("a.py", OLD, NEW, message="Add a second number"), "shop", BY, REDACTOR.text).body
        for _ in range(2)
    )
    assert msgspec.json.encode(one) == msgspec.json.encode(two)


@pytest.mark.parametrize(
    ("message", "after", "reason"),
    [
        ("wip", NEW, "its subject says too little"),
        ("Touch the comment of f", OLD + "#\n", "too little to say"),
    ],
)
def test_a_commit_of_which_too_little_can_be_said_is_left_out(message: str, after: str, reason: str) -> None:
    with pytest.raises(TooLittle, match=reason):
        made_of(told("a.py", OLD, after, message=message), "shop", BY, REDACTOR.text)


def test_no_secret_is_in_a_question_nor_in_an_answer() -> None:
    secret = "ghp_" + "".join(hashlib.sha256(b"x").hexdigest()[:36])
    after = NEW + f"\n\ndef {secret}():\n    return 4\n"
    made = made_of(
        told("a.py", OLD, after, message=f"Use token {secret} for the shop"), "shop", BY, REDACTOR.text
    )
    assert secret not in msgspec.json.encode(made.body).decode()
    assert "[REDACTED:" in made.body.question
    assert made.redacted


def test_questions_that_are_alike_are_asked_once() -> None:
    def ask(subject: str, name: str) -> object:
        return body(name, question=f"What did the change “{subject}” do in shop?")

    long = "Keep the order of discounts when a cart is loaded again from the store after a restart"
    made = [
        ask("Add tax", "a"),
        ask("add TAX!", "b"),
        ask(long, "c"),
        ask(f"{long} of it", "d"),
        ask("Drop tax", "e"),
    ]
    assert once(made) == [True, False, True, False, True]  # type: ignore[arg-type]
    before = ["What did the change “Drop tax” do in shop?"]
    assert once(made, before) == [True, False, True, False, False]  # type: ignore[arg-type]


@given(st.integers(0, 500), st.floats(0, 0.9), st.integers(0, 60), st.integers(0, 5))
def test_synthetic_rows_are_never_more_than_their_share(
    others: int, share: float, there: int, seed: int
) -> None:
    made = rows([body(f"ev{at}") for at in range(there)], share, others, seed)
    assert len(made) <= share * (others + len(made)) + 1e-9
    assert len(made) == min(there, most_of(share, others))
    assert most_of(share, others) + 1 > share * (others + most_of(share, others) + 1) - 1e-9


def test_a_synthetic_row_says_what_it_is_and_weighs_as_much_as_any() -> None:
    (row,) = rows([body("ev1", question="Q?", answer="A.")], 0.5, 1, 0)
    assert row.karl.synthetic
    assert (row.karl.session, row.karl.trajectory, row.karl.project) == (f"{SESSION}ev1", "ev1", "shop")
    assert row.weight == 1.0
    assert [one["role"] for one in row.messages] == ["user", "assistant"]
    assert "reward" not in str(row.messages)


def test_the_choice_of_rows_hangs_on_seed_and_ids_alone() -> None:
    bodies = [body(f"ev{at}") for at in range(40)]
    chosen = [row.karl.trajectory for row in rows(bodies, 0.1, 90, 3)]
    assert len(chosen) == 10
    assert [row.karl.trajectory for row in rows(bodies[::-1] + bodies, 0.1, 90, 3)] == chosen
    assert [row.karl.trajectory for row in rows(bodies, 0.1, 90, 4)] != chosen


def test_what_was_taken_back_is_in_no_row() -> None:
    assert not rows([body("ev1", removed=True)], 0.5, 10, 0)
    assert not rows([body("ev1"), body("ev1", removed=True)], 0.5, 10, 0)


@pytest.mark.parametrize("share", [1.0, -0.1, float("nan")])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="share"):
        rows([], share, 10, 0)


def test_commits_since_a_session_that_is_judged_by_are_kept_away() -> None:
    before, after = body("old", time_ms=999), body("new", time_ms=1000)
    assert apart([before, after], [Worked("shop", 1000)]) == [before]
    assert apart([before, after], [Worked("site", 0)]) == [before, after]
    assert apart([before, after], [Worked("shop", 5000), Worked("shop", 1000)]) == [before]
    assert apart([before, after], []) == [before, after]


def test_a_file_that_such_a_session_named_keeps_away_commits_of_a_clone_under_another_name() -> None:
    made = body("new", repository="shop-copy", time_ms=2000, files=("shop/cart.py",))
    assert not apart([made], [Worked("shop", 1000, frozenset({"/home/dev/shop/shop/cart.py"}))])
    assert not apart([made], [Worked("shop", 1000, frozenset({"shop/cart.py"}))])
    assert apart([made], [Worked("shop", 1000, frozenset({"/home/dev/workshop/cart.py"}))]) == [made]
    assert apart([made], [Worked("shop", 3000, frozenset({"shop/cart.py"}))]) == [made]
