"""How many tokens the rows of a data set have, for a model that is here, or about, for one that is not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from karl.errors import NotFound, Unreadable
from karl.export.budget import Counter
from karl.figures.readiness import Counted
from karl.training.base_models import find

#: Characters that count as a token where there is no tokenizer.
_CHARACTERS = 4
#: Told how many bytes of the file are read, of how many, and what they are.
Progress = Callable[[int, int, object], None]


def counted(path: Path, models: Path, model: str, max_tokens: int, progress: Progress | None) -> Counted:
    """Count rows, different prompts and tokens. Raises Unreadable for a line that is no row."""
    counter = _counter(models, model)
    rows = tokens = longest = too_long = done = 0
    prompts: set[str] = set()
    size = path.stat().st_size
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            messages, tools = _row(line, f"{path.name}:{number}")
            found = _tokens(counter, messages, tools)
            rows, tokens, longest = rows + 1, tokens + found, max(longest, found)
            too_long += found > max_tokens
            first = next((one["content"] for one in messages if one.get("role") == "user"), "")
            prompts.add(str(first))
            done += len(line)
            if progress:
                progress(done, size, "")
    return Counted(rows, len(prompts), tokens, longest, too_long, counter is not None)


def _counter(models: Path, model: str) -> Counter | None:
    try:
        return Counter(find(models, model).path)
    except NotFound:
        return None  # a model that only the node has: the report says that the count is rough


def _row(line: bytes, where: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    try:
        row = json.loads(line)
        if "messages" in row:
            return list(row["messages"]), list(row.get("tools") or [])
        return [
            {"role": "user", "content": row["prompt"]},
            {"role": "assistant", "content": row["completion"]},
        ], []
    except (ValueError, TypeError, KeyError) as error:
        raise Unreadable(f"{where} is no row of a data set: {error}") from None


def _tokens(counter: Counter | None, messages: list[dict[str, Any]], tools: list[dict[str, Any]]) -> int:
    if counter is not None:
        return counter.count(messages, tools)
    return len(json.dumps([messages, tools], ensure_ascii=False)) // _CHARACTERS
