"""Commits made for the tests, and questions made of them."""

from __future__ import annotations

from pathlib import Path

from karl.learning.synthetic.commits import FileChange, Hunk, Told
from karl.learning.synthetic.questions import By
from karl.outcomes.commits import Read, commits_of
from karl.outcomes.repository import Repository
from karl.schema.learning import SyntheticBody
from producers.denied_paths import DeniedPaths
from producers.redact import Redactor
from workers.synthetic import Asked, Repo

REDACTOR = Redactor()
BY = By("p", "n1")


def asked(*repositories: Path, most: int = 50, turns_below: int | None = None) -> Asked:
    return Asked(
        [Repo(path, "shop") for path in repositories],
        0,
        most,
        BY,
        REDACTOR.text,
        DeniedPaths(REDACTOR.data).is_denied,
        turns_below,
    )


def read(path: Path) -> dict[str, Read]:
    """Read all commits of a repository, by their hash."""
    with Repository(path) as repository:
        denied = DeniedPaths(REDACTOR.data).is_denied
        return {one.commit: one for one in commits_of(repository, 0, lambda *_: "", denied)}


def told(path: str, before: str | None, after: str | None, *, message: str = "") -> Told:
    """A commit of one file, its patch taken as one hunk of all lines."""
    old, new = [(text or "").splitlines() for text in (before, after)]
    hunk = Hunk(1, "", tuple(old), tuple(new))
    change = FileChange(
        path if after is not None else "", path if before is not None else "", before, after, (hunk,)
    )
    return Told("c" * 40, 1_760_000_000, message, (change,), (path,), 1, {})


def body(name: str, **more: object) -> SyntheticBody:
    fields: dict[str, object] = {
        "id": name, "question": f"What did {name} do?", "answer": f"- {name}", "repository": "shop",
        "commit": name, "files": ("shop/cart.py",), "facts": (name,), "person": "p", "node": "n1",
        "time_ms": 1_760_000_000_000,
    }  # fmt: skip
    return SyntheticBody(**{**fields, **more})  # type: ignore[arg-type]
