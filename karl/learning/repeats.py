"""When two rows say the same: what is learned from one is known of the other.

Case, spaces and punctuation do not count, nor does the system prompt. Two rows are the same where the target
and all messages before it are. Where the target says as much as LONG_TARGET words, what was asked last
alone has to be the same as well: so much is not said twice by chance. A step that is usual after a usual
message (`git status` after "commit this") is the same row where all that came before it is the same, and
another one else.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from typing import Any

import msgspec

from karl.learning.overlap import plain_words
from karl.learning.row import Row

#: Words from which on a target is too long to be the same by chance.
LONG_TARGET = 20


def said(row: Row) -> bytes:
    """Give what two rows have in common that say the same: 16 bytes; none where a row says nothing."""
    messages = [message for message in row.messages if message.get("role") != "system"]
    if not messages:
        return b""
    *before, last = messages
    target = _whole(last)
    if len(target) >= LONG_TARGET:
        history = [plain_words(text) for text in [*asked_in(row)][-1:]]
    else:
        history = [_whole(message) for message in before]
    digest = blake2b(digest_size=16)
    for part in (*history, target):
        digest.update(" ".join(part).encode("utf-8", "surrogatepass") + b"\0")
    return digest.digest()


def asked_in(row: Row) -> Iterator[str]:
    """Give what was asked before a row's target.

    A brief row has results as a user's messages, behind an action: those asked nothing.
    """
    before = ""
    for message in row.messages[:-1]:
        text = text_of(message.get("content"))
        if message.get("role") == "user" and text and not before.startswith("{"):
            yield text
        before = text if message.get("role") == "assistant" else ""


def text_of(content: Any) -> str:
    """Give the text of what may be a text, blocks with a text, or any JSON."""
    if content is None or isinstance(content, str):
        return content or ""
    if isinstance(content, list):
        return " ".join(
            str(one["text"]) if isinstance(one, dict) and "text" in one else text_of(one) for one in content
        )
    return msgspec.json.encode(content).decode("utf-8", "replace")


def _whole(message: dict[str, Any]) -> tuple[str, ...]:
    """Give all words of a message: its text, its calls and their arguments."""
    calls = message.get("tool_calls")
    more = "".join(f" {_of_call(call)}" for call in calls) if isinstance(calls, list) else ""
    return plain_words(f"{message.get('role', '')} {text_of(message.get('content'))}{more}")


def _of_call(call: Any) -> str:
    """Give what is called and with what; the id of a call is another one each time."""
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict):
        return text_of(call)
    return f"{function.get('name', '')} {text_of(function.get('arguments'))}"
