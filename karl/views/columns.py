"""From a record's body to the columns of its row, and the statements that put them there."""

# ruff: noqa: S608 - what is put into the SQL here are names of our own columns; values are bound
from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from hashlib import sha256
from typing import Any

import msgspec

from karl.ledger.frame import Line
from karl.reward.baseline import UNITS
from karl.reward.task import task_of
from karl.reward.usual import seen
from karl.routing.truth import Signs
from karl.schema.record import Score, TrajectoryBody
from karl.schema.trajectory import Outcome, Trajectory, Usage
from karl.views.schema import FLAGS, SIGNALS, SUMS, TOKENS
from karl.views.search import searchable

#: Characters of a prompt that a row keeps.
PROMPT_MAX = 200
#: SQLite's integers end at 63 bits; an agent's clock may say anything, and counts are added up.
_INT_MAX = (1 << 62) - 1
COUNT_MAX = 1 << 31
_MADE_BY = 12


def trajectory_row(line: Line, body: TrajectoryBody, signs: Signs) -> tuple[Any, ...]:
    """Give the row of a trajectory's record."""
    reading = body.trajectory
    return (
        line.seq,
        body.id,
        body.session,
        fit(body.turn),
        *place(line),
        body.fleet,
        body.node,
        body.agent,
        body.project,
        body.agent_version,
        body.model,
        started_ms(body),
        fit(body.time_ms),
        reading.timing.duration_s,
        body.closed_by,
        reading.domain,
        reading.skill.name,
        short(reading.context.prompt_text),
        len(body.events),
        fit(reading.trajectory.total_tools, COUNT_MAX),
        fit(reading.trajectory.failures, COUNT_MAX),
        *known_columns(reading.outcome).values(),
        at_close(reading.outcome),
        line.seq,
        *score_columns(body.score).values(),
        None,
        task_of(reading, body.turn, body.project),
        *seen_columns(reading).values(),
        *sign_columns(signs).values(),
        None,
        *tokens(reading.usage).values(),
        searchable(reading.context.prompt_text),
    )


def known_columns(outcome: Outcome) -> dict[str, Any]:
    """Give what is known of an outcome, null for what nobody said."""
    classes = json.dumps(outcome.correction_classes) if outcome.correction_classes else None
    return {
        **{name: getattr(outcome, name) for name in FLAGS},
        "correction_score": outcome.correction_score,
        "correction_classes": classes,
    }


def at_close(outcome: Outcome) -> str | None:
    """Give the flags that a record brings with it, as JSON; null without any."""
    flags = {name: flag for name in FLAGS if (flag := getattr(outcome, name)) is not None}
    return json.dumps(flags) if flags else None


def known_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """Give what a row's columns say of the outcome, as fields of Outcome; only what somebody said."""
    known: dict[str, Any] = {name: bool(row[name]) for name in FLAGS if row[name] is not None}
    if row["correction_score"] is not None:
        known["correction_score"] = row["correction_score"]
    if row["correction_classes"]:
        known["correction_classes"] = json.loads(row["correction_classes"])
    return known


def score_columns(score: Score) -> dict[str, Any]:
    """Give what a row holds of a score."""
    return {
        "reward_version": score.version,
        "reward": score.reward,
        **{name: score.signals.get(name) for name in SIGNALS},
        "confidence": score.confidence,
        "calibration": score.calibration,
        "made_by": made_by(score.version, score.weights, score.calibration),
    }


def seen_columns(reading: Trajectory) -> dict[str, int | None]:
    """Give what a turn adds to what is usual for its agent; null where nobody took its calls apart."""
    one = seen(reading) if reading.trajectory.reader else None
    return {"seen_length": one.length if one else None, "seen_delivered": int(one.delivered) if one else None}


def sign_columns(signs: Signs) -> dict[str, Any]:
    """Give what a row holds of the skills that a turn used."""
    used = msgspec.json.encode(signs.called).decode() if signs.called else None
    return {
        "person": int(signs.person), "without": int(signs.without), "used": used, "typed": signs.typed,
    }  # fmt: skip


def made_by(version: str, weights: Mapping[str, float], calibration: str | None = None) -> str:
    """Name how a score was made: the same for each of one version, one set of weights, one calibration."""
    return _made_by(version, tuple(sorted(weights.items())), calibration)


@lru_cache(maxsize=256)
def _made_by(version: str, weights: tuple[tuple[str, float], ...], calibration: str | None) -> str:
    return sha256(msgspec.json.encode((version, weights, calibration))).hexdigest()[:_MADE_BY]


def place(line: Line) -> tuple[str, int, int]:
    """Give where a line lies."""
    return line.segment, line.offset, line.end


def tokens(usage: Usage) -> dict[str, int]:
    """Give the columns of tokens."""
    return {f"tokens_{name}": fit(getattr(usage, name), _INT_MAX >> 20) for name in TOKENS}


def e4(reward: float) -> int:
    """Give a reward in the unit in which rewards are summed."""
    return round(reward * UNITS)


def fit(number: int, most: int = _INT_MAX) -> int:
    """Keep a number within what the database can hold."""
    return max(-most, min(most, number))


def short(prompt: str | None) -> str | None:
    """Give the beginning of a prompt, on one line."""
    return " ".join(prompt[: 4 * PROMPT_MAX].split())[:PROMPT_MAX] if prompt else None


def started_ms(body: TrajectoryBody) -> int:
    """Say when the turn began; when it ended, if nobody said."""
    text = body.trajectory.timing.started_at
    try:
        return int(datetime.fromisoformat(text).timestamp() * 1000) if text else fit(body.time_ms)
    except (ValueError, OverflowError):
        return fit(body.time_ms)


TOKEN_COLUMNS = tuple(f"tokens_{name}" for name in TOKENS)
NO_FACTS: dict[str, Any] = {
    "agent_version": None,
    "model": None,
    "turns": 0,
    "calls": 0,
    "failures": 0,
    "reward_e4": 0,
    "corrections": 0,
    "first_prompt": None,
    **dict.fromkeys(TOKEN_COLUMNS, 0),
}

_SESSION_COLUMNS = (
    "first_seq", "session", "fleet", "node", "agent", "project", "agent_version", "model", "started_ms",
    "last_ms", "turns", "events", "calls", "failures", "reward_e4", "corrections", "ended", "first_prompt",
    *TOKEN_COLUMNS,
)  # fmt: skip
ADD_SESSION = "INSERT INTO sessions VALUES ({})".format(
    ", ".join("coalesce(:ended, 0)" if name == "ended" else f":{name}" for name in _SESSION_COLUMNS)
)
CHANGE_SESSION = f"""
UPDATE sessions SET
  {", ".join(f"{name} = {name} + :{name}" for name in TOKEN_COLUMNS)},
  project = CASE project WHEN '' THEN :project ELSE project END,
  agent_version = coalesce(:agent_version, agent_version), model = coalesce(:model, model),
  started_ms = min(started_ms, :started_ms), last_ms = max(last_ms, :last_ms),
  turns = turns + :turns, events = events + :events, calls = calls + :calls,
  failures = failures + :failures, reward_e4 = reward_e4 + :reward_e4,
  corrections = corrections + :corrections, ended = coalesce(:ended, ended),
  first_prompt = coalesce(first_prompt, :first_prompt)
WHERE session = :session
"""
KNOWN = tuple(known_columns(Outcome()))
_SCORE = tuple(score_columns(Score("", 0.0, {}, {}, {})))
ADD_TRAJECTORY = "INSERT OR IGNORE INTO trajectories VALUES ({})".format(
    ", ".join("?" * (23 + len(KNOWN) + 2 + len(_SCORE) + 4 + 5 + len(TOKEN_COLUMNS) + 1))
)
ADD_ANNOTATION = "INSERT OR IGNORE INTO annotations VALUES ({})".format(", ".join("?" * (9 + len(FLAGS))))
SET_KNOWN = "UPDATE trajectories SET {} WHERE id = :id".format(
    ", ".join(f"{name} = coalesce(:{name}, {name})" for name in KNOWN)
)
SET_SCORE = "UPDATE trajectories SET {} WHERE id = :id".format(
    ", ".join(f"{name} = :{name}" for name in ("score_seq", "made", *_SCORE))
)
#: Columns of a trajectory that late facts may change and sums hang on.
CHANGING = ("domain", "calls", "failures", *TOKEN_COLUMNS)
OLD_NAMES = (*CHANGING, "seq", "agent", "reward", "task", "seen_length", "seen_delivered")
OLD = "SELECT {} FROM trajectories WHERE id = ?".format(", ".join(OLD_NAMES))
_READ = (
    "skill", "prompt", "words", "model", "started_ms", "duration_s", "made", "at_close", "task",
    "seen_length", "seen_delivered", "person", "without", "used", "typed",
)  # fmt: skip
READ_AGAIN = "UPDATE trajectories SET {} WHERE id = :id".format(
    ", ".join(
        [
            *(
                f"{name} = :{name}"
                for name in (*CHANGING, *_READ, *_SCORE)
            ),
            *(f"{name} = coalesce({name}, :{name})" for name in KNOWN),
        ]
    )
)  # fmt: skip
_SUMS = f"DO UPDATE SET {', '.join(f'{name} = {name} + excluded.{name}' for name in SUMS)}"
ADD_USUAL = (
    "INSERT INTO usual VALUES (?, ?, ?, ?) ON CONFLICT (agent, length) DO UPDATE SET "
    "turns = turns + excluded.turns, delivered = delivered + excluded.delivered"
)
#: Adds to the sums of a group of rewards, by the table that holds it.
ADD_SUMS = {
    "agents": f"INSERT INTO agents VALUES (?, ?, ?, ?) ON CONFLICT (agent) {_SUMS}",
    "domains": f"INSERT INTO domains VALUES (?, ?, ?, ?, ?) ON CONFLICT (agent, domain) {_SUMS}",
    "tasks": f"INSERT INTO tasks VALUES (?, ?, ?, ?, ?) ON CONFLICT (agent, task) {_SUMS}",
}
