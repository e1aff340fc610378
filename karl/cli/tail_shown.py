"""A record on one line of a terminal, or as one line of JSON."""

from __future__ import annotations

import sys

import click
import msgspec

from karl.cli.deeds import style
from karl.cli.explain_shown import said_words
from karl.cli.render import one_line
from karl.replay.harmless import harmless_json
from karl.replay.news import News


def print_news(news: News, *, as_json: bool) -> None:
    """Print a record at once: whoever follows waits for it."""
    if as_json:
        click.echo(harmless_json(msgspec.json.encode(news).decode()))
    else:
        click.echo(_line(news))
    sys.stdout.flush()


def _line(news: News) -> str:
    whose = f"{one_line(news.agent or '?', 14):<14} {one_line(news.project or '-', 20):<20}"
    when = style(news.time[:19].replace("T", " "), dim=True)
    session = one_line((news.session or "-")[:8], 8)
    return f"{when} {session:<8} {whose} {_what(news)}"


def _what(news: News) -> str:
    if news.kind == "erasure":
        return f"erasure of {news.erased:,} records by {one_line(news.by or '?', 40)}"
    if news.kind == "erased":
        return "the erasure came to its end"
    if news.kind == "calibration" and news.unreadable is None:
        return "what was learned of this agent's outcomes (karl reward calibrate)"
    if news.unreadable is not None:
        return f"{one_line(news.kind, 20)} that can not be read: {one_line(news.unreadable, 80)}"
    if news.says is not None:
        return f"{one_line(news.says, 160)}  {one_line(news.prompt or '', 60)}".rstrip()
    if news.kind == "trajectory":
        failed = style(f"{news.failures} failed", fg="red") if news.failures else "0 failed"
        counts = f"turn {news.turn}: {news.calls} calls, {failed}, reward {news.reward:.4f}"
        return f"{counts}  {one_line(news.prompt or '', 60)}"
    if news.kind == "events":
        kinds = ", ".join(f"{count} {one_line(kind, 24)}" for kind, count in (news.events or {}).items())
        where = "came late for" if news.late else "after"
        ended = "; the session ended" if news.ended else ""
        return f"{kinds} {where} {one_line(news.trajectory or 'no turn', 30)}{ended}"
    words = [*said_words(news.said or {})]
    if news.skill is not None:
        words.append(f"the prompt was for {one_line(news.skill, 40) or 'no skill'}")
    said = ", ".join(words) or "scored again"
    return f"{one_line(news.trajectory, 30)}: {said}, reward now {news.reward:.4f}"
