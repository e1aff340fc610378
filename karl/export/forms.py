"""How a row is written in each format of a data set, and read back from what was written.

Reading back is for the checks alone: they look at what is on disk, not at what was meant.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from karl.export.answers import as_json
from karl.learning.row import About, Row

if TYPE_CHECKING:
    from karl.export.options import DataSetOptions

#: A message in a prompt that is one text.
_SAID = re.compile(r"^(system|user|assistant): (.*?)(?=\n(?:user|assistant): |\Z)", re.DOTALL | re.MULTILINE)

_encode = msgspec.json.Encoder().encode
_any = msgspec.json.Decoder().decode
_row = msgspec.json.Decoder(Row).decode


class Form(NamedTuple):
    """A format: a row as a line, and what a line that was read back says, as rows."""

    line: Callable[[Row], bytes]
    rows: Callable[[dict[str, Any]], Iterator[Row]]


def texts(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give messages in which calls and results are text, for models and formats that know no calls.

    A call is one JSON object a line, `{"name": ..., "arguments": {...}}`; results are the user's.
    """
    made: list[dict[str, Any]] = []
    for message in messages:
        calls = message.get("tool_calls")
        role = "user" if message["role"] == "tool" else message["role"]
        lines = [message["content"]] if message["content"] else []
        lines += [
            as_json({key: call["function"][key] for key in ("name", "arguments")}) for call in calls or ()
        ]
        content = "\n".join(lines)
        if made and made[-1]["role"] == role == "user":
            made[-1] = {**made[-1], "content": f"{made[-1]['content']}\n{content}"}
        else:
            made.append({"role": role, "content": content})
    return made


def chatml(row: Row) -> bytes:
    """Give a row as it is: `messages`, `tools`, `weight`, `karl`."""
    return _encode({"messages": row.messages, "tools": row.tools, "weight": row.weight, "karl": row.karl})


def _of_chatml(line: dict[str, Any]) -> Iterator[Row]:
    yield msgspec.convert(line, Row)


def completions(row: Row) -> bytes:
    """Give a row as `prompt` and `completion`: the messages as one text, each with its role in front."""
    *history, target = texts(row.messages)
    prompt = "\n".join(f"{message['role']}: {message['content']}" for message in history)
    return _encode(
        {"prompt": prompt, "completion": target["content"], "weight": row.weight, "karl": row.karl}
    )


def _of_completions(line: dict[str, Any]) -> Iterator[Row]:
    said = [{"role": found[1], "content": found[2]} for found in _SAID.finditer(line["prompt"])]
    said.append({"role": "assistant", "content": line["completion"]})
    yield Row(said, msgspec.convert(line["karl"], About))


def sharegpt(row: Row) -> bytes:
    """Give a row as `conversations`, in turns: what the model said just before goes with its next turn."""
    system = [message["content"] for message in row.messages if message["role"] == "system"]
    turns: list[dict[str, str]] = []
    for message in row.messages:
        if message["role"] != "system":
            before = (
                turns.pop()["value"] if turns and turns[-1]["from"] == "gpt" and _is_model(message) else ""
            )
            who, value = _turn(message, before)
            if turns and turns[-1]["from"] == who != "function_call":
                turns[-1]["value"] += f"\n\n{value}"
            else:
                turns.append({"from": who, "value": value})
    said: dict[str, Any] = {"conversations": turns}
    if system:
        said["system"] = "\n\n".join(system)
    return _encode({**said, "tools": as_json(row.tools), "weight": row.weight, "karl": row.karl})


_WHO = {"user": "human", "assistant": "gpt", "tool": "observation"}
_ROLES = {"human": "user", "gpt": "assistant", "observation": "tool", "function_call": "assistant"}


def _is_model(message: dict[str, Any]) -> bool:
    return bool(message["role"] == "assistant")


def _turn(message: dict[str, Any], before: str) -> tuple[str, str]:
    """Give who says a message, and what, with what the model said in a message of its own before it."""
    text = "\n\n".join(filter(None, (before, message["content"])))
    calls = [dict(call["function"]) for call in message.get("tool_calls", ())]
    if not calls:
        return _WHO[message["role"]], text
    if text:
        calls[0]["content"] = text
    return "function_call", as_json(calls[0] if len(calls) == 1 else calls)


def _of_sharegpt(line: dict[str, Any]) -> Iterator[Row]:
    said = [{"role": _ROLES[turn["from"]], "content": turn["value"]} for turn in line["conversations"]]
    yield Row(said, msgspec.convert(line["karl"], About))


def with_results(row: Row) -> Row:
    """Give a row in which results, a user's messages behind an answer, are a tool's: nobody asked them."""
    answered, made = False, []
    for message in row.messages:
        is_result = answered and message["role"] == "user"
        made.append({**message, "role": "tool"} if is_result else message)
        answered = answered or message["role"] == "assistant"
    return Row(made, row.karl, row.weight, row.tools)


def _of_dpo(line: dict[str, Any]) -> Iterator[Row]:
    for side in ("chosen", "rejected"):
        yield Row([*line["prompt"], *line[side]], msgspec.convert(line["karl"][side], About))


def _of_kto(line: dict[str, Any]) -> Iterator[Row]:
    yield Row([*line["prompt"], *line["completion"]], msgspec.convert(line["karl"], About))


def _of_trajectory(line: dict[str, Any]) -> Iterator[Row]:
    """Read a trajectory in schema v2: what was asked, and what was called and said."""
    context = line.get("context", {})
    done = line.get("trajectory", {})
    said = as_json([(call.get("tool_name"), call.get("key_params")) for call in done.get("events", ())])
    messages = [
        {"role": "user", "content": context.get("prompt_text") or ""},
        {"role": "assistant", "content": f"{said}{done.get('response') or ''}"},
    ]
    project = line.get("extra", {}).get("karl", {}).get("project") or ""
    yield Row(messages, About(trajectory=line["id"], session=line["session_id"], project=project))


def _of_atif(line: dict[str, Any]) -> Iterator[Row]:
    """Read a session in ATIF: a row for each reply that follows a prompt."""
    about = line.get("extra", {}).get("karl", {})
    asked = ""
    for step in line["steps"]:
        if step["source"] == "user":
            asked = str(step["message"])
            turn = step.get("extra", {}).get("karl", {}).get("trajectory", asked)
        elif asked and step["source"] == "agent":
            said = f"{step['message']}{as_json(step.get('tool_calls', []))}"
            messages = [{"role": "user", "content": asked}, {"role": "assistant", "content": said}]
            known = About(trajectory=turn, session=line["session_id"], project=about.get("project") or "")
            yield Row(messages, known)
            asked = ""


def parquet(row: Row) -> dict[str, Any]:
    """Give a row as flat columns: what is known of it, and messages and tools as JSON."""
    known: dict[str, Any] = msgspec.structs.asdict(row.karl)
    said = {"messages": as_json(row.messages), "tools": as_json(row.tools)}
    return {**known, "weight": row.weight, "answer": texts(row.messages[-1:])[0]["content"], **said}


def of_parquet(line: dict[str, Any]) -> Iterator[Row]:
    """Read such columns."""
    known = {name: line[name] for name in About.__struct_fields__}
    yield Row(_any(line["messages"]), About(**known))


def _as_it_is(row: Row) -> bytes:
    return _encode(row)


#: Every format that has lines; those that are no rows are written as they were made.
FORMS: dict[str, Form] = {
    "chatml": Form(chatml, _of_chatml),
    "completions": Form(completions, _of_completions),
    "sharegpt": Form(sharegpt, _of_sharegpt),
    "dpo": Form(_as_it_is, _of_dpo),
    "kto": Form(_as_it_is, _of_kto),
    "jsonl": Form(_as_it_is, _of_trajectory),
    "atif": Form(_as_it_is, _of_atif),
    "parquet": Form(_as_it_is, of_parquet),
}


def read_back(fields: dict[str, Any], how: DataSetOptions) -> Iterator[Row]:
    """Give what was laid aside as rows: a row itself, what another form says, results told from prompts."""
    form = "chatml" if how.has_rows else how.format
    for row in FORMS[form].rows(fields):
        yield with_results(row) if how.has_texts else row


def row_of(data: bytes) -> Row:
    """Read a row that was laid aside."""
    return _row(data)


def object_of(data: bytes) -> dict[str, Any]:
    """Read a line that was written."""
    found: dict[str, Any] = _any(data)
    return found
