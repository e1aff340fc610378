"""How prompts, calls, diffs and answers look on a terminal; whatever was recorded is made harmless here."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import click

from karl.cli.render import one_line, plain
from karl.replay.story import Deed, gist, is_bad
from karl.schema.trajectory import ToolCall, Usage
from karl.session.edits import FileDiff

#: Lines of a text, and of one call's diffs, that are shown without --full.
TEXT_LINES = 12
DIFF_LINES = 40
#: Characters of one line that are shown without --full.
LINE_CHARS = 300
#: Levels of subagents that are indented.
DEPTH_SHOWN = 8

_COLOURS = {"+": "green", "-": "red", "@": "cyan"}


def style(text: str, **how: Any) -> str:
    """Colour a text that is harmless already; stdout that is no terminal drops it again."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return text
    return click.style(text, **how)


def heading(text: str) -> None:
    """Print a heading of ours."""
    click.echo("\n" + style(text, bold=True))


def block(text: str, *, indent: str = "  ", lines: int | None = TEXT_LINES) -> Iterator[str]:
    """Give a recorded text line by line, indented; at most `lines` of them, or all."""
    told = plain(text).splitlines()
    for line in islice(told, lines):
        cut = lines is not None and len(line) > LINE_CHARS
        yield indent + (line[:LINE_CHARS] + "…" if cut else line)
    if lines is not None and len(told) > lines:
        yield f"{indent}… {len(told) - lines:,} more lines (--full)"


def diff_lines(diff: FileDiff, *, indent: str, most: int | None) -> Iterator[str]:
    """Give a file's diff: its name with counts, then at most `most` lines, coloured."""
    name = one_line(diff.path or "?", 200)
    yield indent + style(f"{name}  {diff.change} +{diff.added} -{diff.removed}", bold=True)
    marked = list(_marked(diff))
    for line in marked[:most]:
        text = plain(line).replace("\n", "\\n")
        if most is not None and len(text) > LINE_CHARS:
            text = text[:LINE_CHARS] + "…"
        yield indent + style(text, fg=_COLOURS.get(text[:1]))
    if most is not None and len(marked) > most:
        yield f"{indent}… {len(marked) - most:,} more lines (--full)"


def _marked(diff: FileDiff) -> Iterator[str]:
    for number, hunk in enumerate(diff.hunks):
        if hunk.old_start is not None or hunk.new_start is not None:
            yield f"@@ -{_line(hunk.old_start)} +{_line(hunk.new_start)} @@"
        elif number:
            yield "@@"
        yield from hunk.lines


def _line(number: int | None) -> str:
    return "?" if number is None else str(number)


def call_rows(deeds: Sequence[tuple[int, int, ToolCall]]) -> list[tuple[Any, ...]]:
    """Give the cells of a table of calls; a subagent's stand indented under the call that started it."""
    return [
        (
            number,
            "  " * min(depth, DEPTH_SHOWN) + one_line(call.tool_name, 32),
            _short(gist(call), 60),
            call.status,
            call.exit_code,
            took(call.duration_ms),
        )
        for depth, number, call in deeds
    ]


def _short(text: str, width: int) -> str:
    """Put a text into a cell; of a path its end says more than its beginning."""
    is_path = (len(text) > width and not any(sign in text for sign in " \n:=")) or text[1:3] == ":\\"
    return one_line(text if not is_path or len(text) <= width else "…" + text[1 - width :], width)


def verdict(call: ToolCall) -> str:
    """Say how a call ended, in colours: `failed, exit 2, 1.5 s`."""
    said: list[str] = [call.status if call.status != "unknown" else "end unknown"]
    if call.exit_code:
        said.append(f"exit {call.exit_code}")
    if call.duration_ms is not None:
        said.append(took(call.duration_ms))
    colour = "red" if is_bad(call) else "green" if call.success else "yellow"
    return style(", ".join(said), fg=colour)


def errors(deeds: Sequence[Deed], *, lines: int | None) -> Iterator[str]:
    """Give what went wrong, call by call."""
    for deed in deeds:
        if is_bad(deed.call):
            yield f"  #{deed.number} {one_line(deed.call.tool_name, 32)}: {verdict(deed.call)}"
            yield from block(deed.call.error or "", indent="     ", lines=lines)


def took(ms: int | None) -> str:
    """Give a duration: `12 ms`, `3.4 s`, `2 min 5 s`; `-` when it is unknown."""
    if ms is None:
        return "-"
    if ms < 1000:
        return f"{ms} ms"
    if ms < 60_000:
        return f"{ms / 1000:.1f} s"
    minutes, rest = divmod(ms // 1000, 60)
    return f"{minutes} min {rest} s"


def tokens(usage: Usage) -> str:
    """Give tokens in words; empty when nobody counted them."""
    if not usage.messages:
        return ""
    return (
        f"{usage.input:,} in, {usage.output:,} out, {usage.cache_read:,} from the cache, "
        f"{usage.cache_write:,} into it; {usage.messages:,} responses"
    )
