"""Plant secrets: kinds times wrappings times places of a payload, all made from one seed.

`plant(seed, n)` gives payloads as hooks get them with every form in which their secrets must not be found.
"""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Callable, Iterator
from functools import partial
from random import Random
from typing import Any, NamedTuple
from urllib.parse import quote

from tests.secrets.blocks import BLOCKS, of_token
from tests.secrets.kinds import NAMED, TOKENS, Snippet, named

KINDS: dict[str, Callable[[Random], Snippet]] = {
    **{f"token:{kind}": partial(of_token, kind) for kind in TOKENS},
    **{f"named:{kind}": partial(named, kind) for kind in NAMED},
    **{f"block:{kind}": make for kind, make in BLOCKS.items()},
}


class Planted(NamedTuple):
    """A payload, where in it a secret of which kind lies, and the texts that nothing written may hold."""

    kind: str
    wrapping: str
    place: str
    payload: dict[str, Any]
    needles: tuple[str, ...]


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _lines(prefix: Callable[[int], str]) -> Callable[[Random, str], str]:
    return lambda _random, text: "\n".join(f"{prefix(n)}{line}" for n, line in enumerate(text.split("\n"), 1))


def _in_much(random: Random, text: str) -> str:
    line = "def add(left, right):  # both are numbers\n    return left + right\n"
    before = random.randrange(10, 900)
    return f"{line * before}\n{text}\n{line * (900 - before)}"


#: How the text stands where it stands: as it is, or as part of something else.
WRAPPINGS: dict[str, Callable[[Random, str], str]] = {
    "plain": lambda _, text: text,
    "between lines": lambda _, text: f"before\n{text}\nafter\n",
    "json": lambda _, text: json.dumps({"out": text, "ok": True}),
    "json in json": lambda _, text: json.dumps({"body": json.dumps({"out": [text]})}),
    "json in json in json": lambda _, text: json.dumps({"a": json.dumps({"b": json.dumps({"c": text})})}),
    "python": lambda _, text: repr({"out": text}),
    "indented": _lines(lambda _: "        "),
    "tabbed": _lines(lambda _: "\t"),
    "quoted": _lines(lambda _: "> "),
    "quoted twice": _lines(lambda _: "> > "),
    "added": _lines(lambda _: "+"),
    "removed": _lines(lambda _: "-"),
    "context": _lines(lambda _: " "),
    "numbered": _lines(lambda n: f"{n:6}→"),
    "numbered by cat": _lines(lambda n: f"{n:6}\t"),
    "found by grep": _lines(lambda n: f"src/conf/app.txt:{n}:"),
    "commented": _lines(lambda _: "# "),
    "commented in c": _lines(lambda _: " * "),
    "logged": _lines(lambda n: f"2026-01-02T03:04:{n % 60:02}Z INFO app  | "),
    "crlf": lambda _, text: text.replace("\n", "\r\n"),
    "base64": lambda _, text: _base64(text),
    "base64 of a file": lambda _, text: _base64(f"[app]\nport=80\n{text}\n[end]\n"),
    "base64 in lines": lambda _, text: base64.encodebytes(f"[app]\n{text}\n".encode()).decode(),
    "url-encoded": lambda _, text: f"https://x.test/cb?data={quote(text, safe='')}&x=1",
    "html": lambda _, text: f"<pre>{html.escape(text)}</pre>",
    "in much": _in_much,
    "markdown": lambda _, text: f"Here it is:\n\n```sh\n{text}\n```\n",
    "heredoc": lambda _, text: f"cat > conf <<'EOF'\n{text}\nEOF",
}
#: Wrappings that change the secret's own characters, so that it is looked for in its new form.
_CODED = {"base64", "base64 of a file", "base64 in lines", "url-encoded", "html"}


def _tool(tool: str, given: Any, answer: Any = None) -> dict[str, Any]:
    made = {"hook_event_name": "PostToolUse", "tool_name": tool, "tool_use_id": "c1", "tool_input": given}
    return made if answer is None else {**made, "tool_response": answer}


_OUTPUT = {"stderr": "", "interrupted": False, "isImage": False}
#: Where in a payload the text stands.
PLACES: dict[str, Callable[[str], dict[str, Any]]] = {
    "prompt": lambda text: {"hook_event_name": "UserPromptSubmit", "prompt": text},
    "command": lambda text: _tool("Bash", {"command": text, "description": "run it"}),
    "stdout": lambda text: _tool("Bash", {"command": "env"}, {"stdout": text, **_OUTPUT}),
    "stderr": lambda text: _tool("Bash", {"command": "make"}, {"stdout": "", **_OUTPUT, "stderr": text}),
    "answer": lambda text: _tool("mcp__db__query", {"sql": "select 1"}, text),
    "answer's blocks": lambda text: _tool("mcp__x__y", {}, [{"type": "text", "text": text}]),
    "written": lambda text: _tool("Write", {"file_path": "/app/a.txt", "content": text}),
    "edited": lambda text: _tool("Edit", {"file_path": "/app/a.txt", "old_string": "a", "new_string": text}),
    "edits": lambda text: _tool("MultiEdit", {"file_path": "/app/a", "edits": [{"new_string": text}]}),
    "patch": lambda text: _tool("Edit", {"file_path": "/app/a"}, {"structuredPatch": [{"lines": [f"+{line}" for line in text.split("\n")]}]}),
    "read": lambda text: _tool("Read", {"file_path": "/app/a"}, {"file": {"filePath": "/app/a", "content": text}}),
    "deep": lambda text: _tool("mcp__x__y", {"a": [{"b": {"c": [[{"d": text}]]}}]}),
    "key": lambda text: _tool("mcp__x__y", {"env": {text: "x"}}),
    "last message": lambda text: {"hook_event_name": "Stop", "last_assistant_message": text},
    "error": lambda text: {**_tool("Bash", {"command": "x"}), "hook_event_name": "PostToolUseFailure", "error": text},
    "tool name": lambda text: _tool(text, {}),
    "folder": lambda text: {"hook_event_name": "SessionStart", "cwd": f"/srv/{text}"},
    "model": lambda text: {"hook_event_name": "SessionStart", "model": text},
    "unknown field": lambda text: {"hook_event_name": "Notification", "whatever": {"x": text}},
    "words of a command": lambda text: _tool("shell", {"command": ["bash", "-lc", text]}),
    "lines of an answer": lambda text: _tool("shell", {}, {"lines": text.split("\n")}),
}  # fmt: skip


def needles(secret: str, wrapping: str, text: str) -> list[str]:
    """Give what must not be found of a secret: it, its middle, its end, each as JSON may write it."""
    if wrapping.startswith("base64"):
        coded = [line for line in text.split("\n") if line] if "lines" in wrapping else [text]
        # Of a long text the secret's own place in the base64 is looked for; of a short one all of it.
        return [part for line in coded for part in _around(secret, line)]
    if wrapping == "url-encoded":
        return [quote(secret, safe="")]
    forms = {secret, html.escape(secret)} if wrapping == "html" else {secret}
    if len(secret) >= 24 and " " not in secret:
        forms |= {secret[-14:], secret[len(secret) // 2 : len(secret) // 2 + 14]}
    return [form for form in forms if len(form) >= 4]


def _around(secret: str, coded: str) -> list[str]:
    del secret
    middle = len(coded) // 2
    return [coded[middle : middle + 24]] if len(coded) >= 32 else [coded]


def forms(text: str) -> set[str]:
    """Give a text as JSON, and JSON in JSON, may write it."""
    once = json.dumps(text)[1:-1]
    return {text, once, json.dumps(once)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]}


def one(random: Random, kind: str, wrapping: str, place: str) -> Planted:
    """Plant one secret of a kind in a place."""
    snippet = KINDS[kind](random)
    text = WRAPPINGS[wrapping](random, snippet.text)
    sought = [needle for secret in snippet.secrets for needle in needles(secret, wrapping, text)]
    if wrapping not in _CODED:
        assert all(secret in snippet.text for secret in snippet.secrets), kind
    payload = {"session_id": f"s-{random.randrange(10**6)}", "cwd": "/srv/shop", **PLACES[place](text)}
    return Planted(kind, wrapping, place, payload, tuple(dict.fromkeys(sought)))


def plant(seed: int, count: int) -> Iterator[Planted]:
    """Plant `count` secrets, every kind as often as any other, in wrappings and places drawn by chance."""
    random = Random(seed)
    kinds = list(KINDS)
    random.shuffle(kinds)
    for number in range(count):
        kind = kinds[number % len(kinds)]
        yield one(random, kind, random.choice(list(WRAPPINGS)), random.choice(list(PLACES)))
