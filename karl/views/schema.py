"""The tables of the views: what each is for, and what its columns mean.

Everything here is made from the ledger by `karl.views.project` and can be deleted. Facts are not
copied: a row says where its record lies (`segment`, bytes `offset` to `end`). Times are Unix time in
milliseconds. A flag is 1, 0 or null (nobody said). `*_e4` counts ten-thousandths: rewards have four
decimals, so sums of them are whole numbers, exact in any order of adding.
"""

from __future__ import annotations

import sqlite3

from karl.reward.signal import SIGNALS
from karl.views import schema_learning, schema_routing

__all__ = ["COUNTERS", "FLAGS", "FORMAT", "SIGNALS", "SUMS", "TABLES", "TOKENS", "create", "made_for"]

#: Raised by one whenever the same ledger would give other rows; views of another format are made anew.
FORMAT = 6

#: What is known of how a turn went: the flags of `karl.schema.trajectory.Outcome`.
FLAGS = (
    "correction_detected",
    "redo_detected",
    "build_success",
    "session_continued",
    "committed",
    "survived",
    "reverted",
    "ci_passed",
    "label",
)

#: Tokens, as `karl.schema.trajectory.Usage` has them.
TOKENS = ("input", "output", "cache_read", "cache_write", "messages")

#: Kept as sums, so that nobody has to count rows. `unreadable`: bodies that could not be decoded;
#: `orphans`: annotations, scores and late facts of trajectories that the ledger does not have.
#: `probes`: what `karl doctor` sent through the line, which is nobody's work and is not shown.
COUNTERS = (
    "records",
    "trajectories",
    "sessions",
    "events",
    "tool_calls",
    "annotations",
    "scores",
    "duplicates",
    "unreadable",
    "orphans",
    "probes",
    *(f"tokens_{name}" for name in TOKENS),
)

TABLES = (
    "meta",
    "position",
    "counters",
    "sessions",
    "trajectories",
    "late",
    "annotations",
    "scores",
    "agents",
    "domains",
    "tasks",
    "usual",
    "calibrations",
    *schema_routing.TABLES,
    *schema_learning.TABLES,
)

#: What is kept of a group of rewards (karl.reward.baseline.Sums).
SUMS = ("reward_n", "reward_e4", "reward_squares_e8")

_TOKENS = ", ".join(f"tokens_{name} INTEGER NOT NULL" for name in TOKENS)
_SUMS = ", ".join(f"{name} INTEGER NOT NULL" for name in SUMS)

_SQL = f"""
-- `format` and `reward_version`: the version whose scores are the current ones where there are several.
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

-- The last ledger line that these views have taken in; one row.
CREATE TABLE position (
  segment TEXT NOT NULL, offset INTEGER NOT NULL, seq INTEGER NOT NULL, head TEXT NOT NULL
);

CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;

-- One row a session. `first_seq` is the ledger line that told of it first.
CREATE TABLE sessions (
  first_seq INTEGER PRIMARY KEY, session TEXT NOT NULL UNIQUE,
  fleet TEXT NOT NULL, node TEXT NOT NULL, agent TEXT NOT NULL, project TEXT NOT NULL,
  agent_version TEXT, model TEXT, started_ms INTEGER NOT NULL, last_ms INTEGER NOT NULL,
  turns INTEGER NOT NULL, events INTEGER NOT NULL, calls INTEGER NOT NULL, failures INTEGER NOT NULL,
  reward_e4 INTEGER NOT NULL, corrections INTEGER NOT NULL, ended INTEGER NOT NULL, first_prompt TEXT,
  {_TOKENS}
);
CREATE INDEX sessions_last ON sessions (last_ms);
CREATE INDEX sessions_fleet ON sessions (fleet, last_ms);
CREATE INDEX sessions_node ON sessions (node, last_ms);
CREATE INDEX sessions_agent ON sessions (agent, last_ms);
CREATE INDEX sessions_project ON sessions (project, last_ms);

-- One row a trajectory with its current score, which stands in the record `score_seq`. A signal is null where
-- it could not be observed. `correction_classes` is a JSON array, `at_close` an object of the flags that were
-- known when the turn closed. `made_by` tells scores of one version, set of weights and calibration from
-- those of another (karl.views.columns). `made` is the score itself, as JSON, where it was made here with
-- what that record's did not know (karl.views.whole). `task` is the same for the runs of one task
-- (karl.reward.task), null where a turn is none. `seen_*` is what a turn adds to `usual`.
-- `person`, `without`, `used` (a JSON array) and `typed` are what the turn tells of skills
-- (karl.routing.truth.Signs), `label_skill` is a person's word, empty for none.
CREATE TABLE trajectories (
  seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, session TEXT NOT NULL, turn INTEGER NOT NULL,
  segment TEXT NOT NULL, offset INTEGER NOT NULL, end INTEGER NOT NULL,
  fleet TEXT NOT NULL, node TEXT NOT NULL, agent TEXT NOT NULL, project TEXT NOT NULL,
  agent_version TEXT, model TEXT, started_ms INTEGER NOT NULL, time_ms INTEGER NOT NULL,
  duration_s REAL, closed_by TEXT NOT NULL,
  domain TEXT NOT NULL, skill TEXT, prompt TEXT,
  events INTEGER NOT NULL, calls INTEGER NOT NULL, failures INTEGER NOT NULL,
  {"".join(f"{name} INTEGER, " for name in FLAGS)}
  correction_score REAL, correction_classes TEXT, at_close TEXT,
  score_seq INTEGER NOT NULL, reward_version TEXT NOT NULL, reward REAL NOT NULL,
  {", ".join(f"{name} REAL" for name in SIGNALS)},
  confidence REAL, calibration TEXT, made_by TEXT NOT NULL, made TEXT,
  task TEXT, seen_length INTEGER, seen_delivered INTEGER,
  person INTEGER NOT NULL, without INTEGER NOT NULL, used TEXT, typed TEXT, label_skill TEXT,
  {_TOKENS},
  words TEXT -- last, so that rows are read without it (karl.views.search)
);
CREATE INDEX trajectories_session ON trajectories (session, started_ms, turn);
CREATE INDEX trajectories_time ON trajectories (time_ms);
CREATE INDEX trajectories_agent ON trajectories (agent, time_ms);
CREATE INDEX trajectories_project ON trajectories (project, time_ms);

-- Facts that belong to a trajectory and came after its record was made (karl.views.whole).
CREATE TABLE late (
  seq INTEGER PRIMARY KEY, trajectory TEXT NOT NULL,
  segment TEXT NOT NULL, offset INTEGER NOT NULL, end INTEGER NOT NULL
);
CREATE INDEX late_trajectory ON late (trajectory);

-- What later events, people and tools (`detector`) said about a trajectory.
CREATE TABLE annotations (
  seq INTEGER PRIMARY KEY, trajectory TEXT NOT NULL, session TEXT NOT NULL,
  segment TEXT NOT NULL, offset INTEGER NOT NULL, end INTEGER NOT NULL,
  by_event TEXT NOT NULL, detector TEXT NOT NULL, time_ms INTEGER NOT NULL,
  {", ".join(f"{name} INTEGER" for name in FLAGS)},
  UNIQUE (trajectory, by_event, detector)
);

-- Every score after the first, whether it came with an annotation or alone.
CREATE TABLE scores (
  seq INTEGER PRIMARY KEY, trajectory TEXT NOT NULL, session TEXT NOT NULL,
  segment TEXT NOT NULL, offset INTEGER NOT NULL, end INTEGER NOT NULL,
  kind TEXT NOT NULL, time_ms INTEGER NOT NULL, reward_version TEXT NOT NULL, reward REAL NOT NULL
);
CREATE INDEX scores_trajectory ON scores (trajectory);

-- Sums of the current rewards of each agent, of its domains and of its tasks: what a baseline is made of
-- (karl.reward.baseline). Rewards are compared within one agent only, so nothing is summed over agents.
CREATE TABLE agents (agent TEXT PRIMARY KEY, {_SUMS}) WITHOUT ROWID;
CREATE TABLE domains (agent TEXT, domain TEXT, {_SUMS}, PRIMARY KEY (agent, domain)) WITHOUT ROWID;
CREATE TABLE tasks (agent TEXT, task TEXT, {_SUMS}, PRIMARY KEY (agent, task)) WITHOUT ROWID;

-- How long an agent's turns are: by class of length the turns, and those that delivered (karl.reward.usual).
CREATE TABLE usual (
  agent TEXT, length INTEGER, turns INTEGER NOT NULL, delivered INTEGER NOT NULL, PRIMARY KEY (agent, length)
) WITHOUT ROWID;

-- What was learned of agents' outcomes; the latest of an agent and a version counts, if it is `applied`.
CREATE TABLE calibrations (
  seq INTEGER PRIMARY KEY, id TEXT NOT NULL, agent TEXT NOT NULL, version TEXT NOT NULL,
  segment TEXT NOT NULL, offset INTEGER NOT NULL, end INTEGER NOT NULL,
  applied INTEGER NOT NULL, time_ms INTEGER NOT NULL
);
CREATE INDEX calibrations_id ON calibrations (id);
CREATE INDEX calibrations_agent ON calibrations (agent, version);
"""


def create(connection: sqlite3.Connection, reward_version: str) -> None:
    """Make the tables in an empty database, and set them to the ledger's start."""
    connection.executescript(_SQL)
    connection.executescript(schema_routing.SQL)
    connection.executescript(schema_learning.SQL)
    connection.executemany("INSERT INTO counters VALUES (?, 0)", [(name,) for name in COUNTERS])
    connection.executemany(
        "INSERT INTO meta VALUES (?, ?)", [("format", str(FORMAT)), ("reward_version", reward_version)]
    )


def made_for(connection: sqlite3.Connection) -> tuple[str, str]:
    """Give the format and the preferred reward version of views; empty strings for another's database."""
    try:
        rows = dict(connection.execute("SELECT key, value FROM meta"))
    except sqlite3.OperationalError as error:
        if "no such table" not in str(error):
            raise
        return "", ""
    return rows.get("format", ""), rows.get("reward_version", "")
