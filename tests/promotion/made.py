"""Evidence as a stream of sessions would bring it: how alike a session is, and how good either router, is chosen."""

from __future__ import annotations

import numpy as np

from karl.routing.evidence import Evidence, Lineage

SKILLS = ("review", "deploy", "triage", "release")
ROUTER = "r" * 64
LINEAGE = Lineage(ROUTER, frozenset({ROUTER}))
#: 2026-01-01, in ms.
START_MS = 1_767_225_600_000


def evidence(number: int, **more: object) -> Evidence:
    """One prompt that asked for `review`; the vector router is right and the rules say nothing."""
    fields: dict[str, object] = {
        "event": f"e{number:06}",
        "session": f"s{number}",
        "agent": "claude-code",
        "words": f"prompt {number}",
        "time_ms": START_MS + number * 60_000,
        "router": ROUTER,
        "vector": "review",
        "regex": None,
        "truth": "review",
        "by": "called",
        "took_us": 8_000,
    }
    return Evidence(**{**fields, **more})  # type: ignore[arg-type]


def none(number: int, **more: object) -> Evidence:
    """One prompt that asked for no skill; neither router takes one."""
    return evidence(
        number, **{"truth": None, "vector": None, "by": "unused", "words": f"talk {number}", **more}
    )


def stream(
    seed: int,
    asked: int,
    *,
    vector: float = 0.7,
    regex: float = 0.5,
    alike: float = 0.5,
    per_session: int = 4,
    loud: tuple[float, float] = (0.03, 0.03),
    skills: tuple[str, ...] = SKILLS,
) -> list[Evidence]:
    """Draw evidence until `asked` prompts have asked for a skill; half as many again asked for none.

    Where a session is alike (with that chance) its prompts are all as its first: one truth, and both routers
    right or wrong together.
    """
    rng = np.random.default_rng(seed)
    rows: list[Evidence] = []
    number = session = count = 0
    while count < asked:
        session += 1
        first = (rng.integers(len(skills)), rng.random(), rng.random())
        same = rng.random() < alike
        for _ in range(int(rng.integers(1, 2 * per_session))):
            number += 1
            name = f"s{seed}-{session}"
            if rng.random() < 1 / 3:
                takes = [skills[0] if rng.random() < share else None for share in loud]
                rows.append(none(number, session=name, vector=takes[0], regex=takes[1]))
                continue
            count += 1
            place, ours, theirs = first if same else (rng.integers(len(skills)), rng.random(), rng.random())
            truth = skills[int(place)]
            other = skills[(int(place) + 1) % len(skills)]
            rows.append(
                evidence(
                    number,
                    session=name,
                    truth=truth,
                    vector=truth if ours < vector else (other if ours < (1 + vector) / 2 else None),
                    regex=truth if theirs < regex else (other if theirs < (1 + regex) / 2 else None),
                )
            )
    return rows
