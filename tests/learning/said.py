"""Prompts, sessions and rows that the tests of this folder are made of."""

from __future__ import annotations

import random

from karl.learning.groups import Item
from karl.learning.row import About, Row

WORDS = [
    "parser",
    "date",
    "order",
    "invoice",
    "retry",
    "queue",
    "socket",
    "export",
    "ledger",
    "index",
    "session",
    "cache",
    "token",
    "header",
    "stream",
    "worker",
    "thread",
    "buffer",
    "schema",
    "record",
    "field",
    "column",
    "table",
    "query",
    "migration",
    "rollback",
    "fixture",
    "assertion",
    "timeout",
    "backoff",
    "metric",
    "dashboard",
    "alert",
    "certificate",
    "proxy",
    "gateway",
    "route",
    "handler",
    "middleware",
    "cookie",
    "locale",
    "currency",
    "rounding",
    "tax",
    "discount",
    "coupon",
    "basket",
    "checkout",
    "refund",
    "shipment",
    "warehouse",
    "shelf",
    "barcode",
]


def prompt(seed: int, length: int = 30) -> str:
    """A prompt of its own; two of different seeds have words in common, and no runs of them."""
    return " ".join(random.Random(f"prompt {seed}").choices(WORDS, k=length))


def reworded(text: str, seed: int = 0, share: float = 0.1) -> str:
    """The same with so many of its words changed."""
    rnd = random.Random(f"reworded {seed}")
    said = text.split()
    for at in rnd.sample(range(len(said)), max(1, round(share * len(said)))):
        said[at] = f"other{rnd.randrange(10**6)}"
    return " ".join(said)


def item(
    session: str, *prompts: str, start: int = 0, last: int | None = None, project: str = "", rows: int = 1
) -> Item:
    return Item(session, project, prompts, start, start if last is None else last, rows)


def row(session: str, text: str, *said: str, step: int = 0, trajectory: str = "") -> Row:
    """A row of a turn that `text` asked for; `said` alternates from the agent to a result, the target last."""
    told = said or (f"done for {session} {step}",)
    roles = ("assistant", "user") * len(told)
    messages = [{"role": "user", "content": text}]
    messages += [{"role": role, "content": one} for role, one in zip(roles, told, strict=False)]
    return Row(messages, About(trajectory or f"traj-{session}", session, step=step))
