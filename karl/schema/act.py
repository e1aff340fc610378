"""Act: one thing that a tool call did, taken apart from what it was asked and what came back.

A call may do several (`cd x && sed -i s/a/b/ f.py && pytest`), one, or nothing that is known. Acts are
a reading: the call beside them is the fact, and they can be made from it again.
"""

from __future__ import annotations

from typing import Literal

import msgspec

#: What was done. `check` was executed (never: mentioned); `run` is a program or script that is no known
#: check; `revert` throws changes away; `vcs` is the rest of version control; `other` says nothing.
Doing = Literal[
    "read",
    "search",
    "list",
    "edit",
    "delete",
    "check",
    "run",
    "commit",
    "push",
    "revert",
    "vcs",
    "install",
    "other",
]

#: What a check looks at.
Check = Literal["test", "build", "lint", "types"]

#: What kind of file a path names. `scratch` is what an agent writes for itself: reproductions, patches.
Role = Literal["source", "test", "scratch", "docs", "config"]


class Act(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One act. `path` is the file or folder, resolved as far as its folder is known.

    `ok` is this act's own end, null where nothing tells (a status hidden by a pipe, `|| true`, `;`). `passed`
    and `failed` were counted in a check's output. `added` and `removed` count an edit's lines where they are
    told. A check's path is what it looks at, where that is one file or folder, or the work's own runner that
    ran; null where it looks at all there is. `program` is what ran (`pytest`, `cargo test`), as the table of
    programs names it. `role` is what kind of file `path` names; it means nothing without one.

    A check that was started and did not run (no such program, nothing collected, a usage error) has `ok`
    null and `passed` 0; one that ran and of which nobody knows how it ended, both null.
    """

    does: Doing
    path: str | None = None
    ok: bool | None = None
    check: Check | None = None
    passed: int | None = None
    failed: int | None = None
    added: int = 0
    removed: int = 0
    program: str | None = None
    role: Role = "source"
