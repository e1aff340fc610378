"""Judging, held against a model asked token by token."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlx.core as mx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from karl.errors import KarlError
from karl.learning.action import action
from karl.training.judge import Fork, forks
from karl.training.order import Fuse, Fused, Generate, Judge, Trained
from tests.training.conftest import TOOLS, row, training, write_rows

Do = Callable[..., Any]


@pytest.fixture(scope="module")
def learned(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter that knows three of four answers by heart, the target of one wrongly."""
    import io
    import os

    from karl.training.telling import Teller
    from karl.training.train import train

    os.environ["MLX_DISABLE_COMPILE"] = "1"
    folder = tmp_path_factory.mktemp("learned")
    rows = [row(n % 3) for n in range(12)]
    for one in rows[2::3]:
        one["messages"][1] = {"role": "assistant", "content": action("Grep", "def other")}
    write_rows(folder / "train.jsonl", rows)
    write_rows(folder / "valid.jsonl", [])
    done: Trained = train(
        training(folder, tiny, folder / "run", iters=40, every=40, dropout=0.0), Teller(io.BytesIO())
    )
    return done.adapter


@pytest.fixture(scope="module")
def fused(tiny: Path, learned: Path, tmp_path_factory: pytest.TempPathFactory) -> Fused:
    """The model with what was learned in it, as a folder and as a GGUF file."""
    import io

    from karl.training.fuse import fuse
    from karl.training.telling import Teller

    out = tmp_path_factory.mktemp("fusing") / "fused"
    return fuse(Fuse(tiny, learned, out, gguf=True), Teller(io.BytesIO()))


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Callable[[Judge], Any]:
    import io

    from karl.training.judge import judge
    from karl.training.telling import Teller

    monkeypatch.setenv("MLX_DISABLE_COMPILE", "1")
    return lambda order: judge(order, Teller(io.BytesIO()))


def test_tools_and_targets_that_were_learned_are_right_and_others_are_not(
    here: Callable[[Judge], Any], tiny: Path, learned: Path, tmp_path: Path
) -> None:
    words = {"messages": [*row(0)["messages"][:1], {"role": "assistant", "content": "all is well"}]}
    unknown = {"messages": [*row(0)["messages"][:1], {"role": "assistant", "content": action("Fly", "home")}]}
    wrong = row(1)
    wrong["messages"][1] = {"role": "assistant", "content": action("Bash", "shop/prices.py")}
    items = write_rows(tmp_path / "items.jsonl", [wrong, row(0), words, row(1), row(2), unknown])
    judged = here(Judge(tiny, items, TOOLS, adapter=learned))
    assert judged.tools == (False, True, False, True, True, False)
    assert judged.targets == (False, True, False, True, False, False)
    assert judged.nll[1] < 0.5 < judged.nll[0]
    assert judged.guard is not None
    before = here(Judge(tiny, items, TOOLS))
    assert not any(before.targets)
    assert before.nll[1] > judged.nll[1]


def test_what_is_judged_does_not_depend_on_how_many_go_through_at_once(
    here: Callable[[Judge], Any], tiny: Path, learned: Path, tmp_path: Path
) -> None:
    items = write_rows(tmp_path / "items.jsonl", [row(n % 4) for n in range(9)])
    alone, together = (
        here(Judge(tiny, items, TOOLS, adapter=learned, guard=False, batch=size)) for size in (1, 8)
    )
    assert alone.tools == together.tools
    assert alone.targets == together.targets
    assert alone.nll == pytest.approx(together.nll, rel=1e-4)
    assert alone.guard is None


def test_the_figures_are_those_of_a_model_asked_token_by_token(
    here: Callable[[Judge], Any], tiny: Path, learned: Path, tmp_path: Path
) -> None:
    from karl.training.chat import Chat
    from karl.training.loaded import load

    rows = [row(kind) for kind in range(4)]
    judged = here(Judge(tiny, write_rows(tmp_path / "i.jsonl", rows), TOOLS, adapter=learned, guard=False))
    loaded = load(tiny, learned)
    chat = Chat(loaded.tokenizer)
    for index, one in enumerate(rows):
        example = chat.example(one["messages"], [], 500)
        assert example is not None
        total = 0.0
        for place in range(example.start, len(example.tokens)):
            row_of = loaded.model(mx.array([example.tokens[:place]]))[0, -1]
            total += (mx.logsumexp(row_of) - row_of[example.tokens[place]]).item()
        count = len(example.tokens) - example.start
        assert judged.tokens[index] == count
        assert judged.nll[index] == pytest.approx(total / count, rel=1e-4, abs=1e-4)
        assert judged.tools[index] == (chosen(loaded.model, chat, one) == one["karl"]["tool"])


def chosen(model: Any, chat: Chat, one: dict[str, Any]) -> str:  # type: ignore[name-defined]  # noqa: F821
    """The tool that a model names if at each token it may only go on towards one of them."""
    before, answer = chat.texts(one["messages"], [])
    said, target = list(chat.tokens(before)), one["karl"]["target"]
    end = answer[len(one["messages"][-1]["content"]) :]
    left = {tool: chat.tokens(action(tool, target) + end) for tool in TOOLS}
    for place in range(99):
        if len(left) == 1:
            return next(iter(left))
        logits = model(mx.array([said]))[0, -1]
        best = max({ways[place] for ways in left.values()}, key=lambda token: logits[token].item())
        said.append(best)
        left = {tool: ways for tool, ways in left.items() if ways[place] == best}
    raise AssertionError


def test_an_answer_that_is_longer_than_a_row_may_be_is_said(
    here: Callable[[Judge], Any], tiny: Path, tmp_path: Path
) -> None:
    items = write_rows(tmp_path / "items.jsonl", [row(0)])
    with pytest.raises(KarlError, match="longer than 5 tokens"):
        here(Judge(tiny, items, TOOLS, max_tokens=5))


def test_a_name_that_another_begins_with_parts_from_it_where_it_ends() -> None:
    assert forks([1, 7, 9], [[1, 7, 9], [1, 7, 8], [2]]) == (Fork(0, (1, 2)), Fork(2, (8, 9)))
    assert forks([1, 2], [[1, 2]]) == ()


@given(st.lists(st.lists(st.integers(0, 2), min_size=3, max_size=5), min_size=1, max_size=6), st.data())
def test_forks_are_where_the_allowed_answers_part_and_nowhere_else(
    others: list[list[int]], data: st.DataObject
) -> None:
    true = data.draw(st.sampled_from(others))
    found = {fork.place: set(fork.ways) for fork in forks(true, others)}
    for place in range(len(true)):
        ways = {other[place] for other in others if other[:place] == true[:place] and place < len(other)}
        assert found.get(place, {true[place]}) == ways


def test_a_fused_model_says_what_the_model_with_the_adapter_says(
    here: Callable[[Judge], Any], fused: Fused, tiny: Path, learned: Path, tmp_path: Path
) -> None:
    assert fused.bytes > 0
    items = write_rows(tmp_path / "items.jsonl", [row(n) for n in range(4)])
    apart = here(Judge(tiny, items, TOOLS, adapter=learned))
    whole = here(Judge(fused.out, items, TOOLS))
    assert whole.tools == apart.tools
    assert whole.nll == pytest.approx(apart.nll, rel=1e-3)
    assert str(tiny.parent.parent).encode() not in b"".join(p.read_bytes() for p in fused.out.iterdir())


def test_a_folder_that_is_there_is_not_written_into(do: Do, fused: Fused, tiny: Path, learned: Path) -> None:
    before = sorted((path.name, path.stat().st_mtime_ns) for path in fused.out.iterdir())
    with pytest.raises(KarlError, match="is there already"):
        do(Fuse(tiny, learned, fused.out))
    assert sorted((path.name, path.stat().st_mtime_ns) for path in fused.out.iterdir()) == before


def test_a_gguf_written_of_a_model_is_that_model_again(
    here: Callable[[Judge], Any], fused: Fused, tmp_path: Path
) -> None:
    import io

    from karl.training.convert import convert
    from karl.training.order import Convert
    from karl.training.telling import Teller

    convert(Convert(fused.out / "model.gguf", tmp_path / "back"), Teller(io.BytesIO()))
    items = write_rows(tmp_path / "items.jsonl", [row(n) for n in range(4)])
    one, other = (here(Judge(folder, items, TOOLS)) for folder in (fused.out, tmp_path / "back"))
    assert one.tools == other.tools
    assert one.tokens == other.tokens
    assert one.nll == pytest.approx(other.nll, abs=0.01)  # float16 in between


def test_an_adapter_answers_what_it_learned(tiny: Path, learned: Path) -> None:
    from karl.training.generate import generate

    said = generate(Generate(tiny, row(0)["messages"][0]["content"], adapter=learned, max_tokens=40))
    assert said.text == row(0)["messages"][1]["content"]
