"""The tables of learning: what each is for; `karl.views.schema` says what all tables have in common.

What refers to what (a decision to an evaluation, that to trainings) is found when somebody asks: the records
come through different partitions, so in any order.
"""

from __future__ import annotations

TABLES = (
    "learned",
    "holdouts",
    "held_sessions",
    "exports",
    "trainings",
    "evaluations",
    "evaluated",
    "adapter_decisions",
    "claims",
    "synthetic",
)

SQL = """
-- The last ledger line that changes what an export holds; one row, none before there is such a line.
CREATE TABLE learned (seq INTEGER NOT NULL, hash TEXT NOT NULL);

-- What was held out. With `released`, a record that says so of the one of that id. `groups` counts what the
-- sessions were before: those tied by near-duplicate prompts are one.
CREATE TABLE holdouts (
  seq INTEGER PRIMARY KEY, segment TEXT NOT NULL, offset INTEGER NOT NULL, end INTEGER NOT NULL,
  id TEXT NOT NULL UNIQUE, way TEXT NOT NULL, seed INTEGER NOT NULL, share REAL NOT NULL,
  groups INTEGER NOT NULL, sessions INTEGER NOT NULL, reason TEXT NOT NULL, person TEXT NOT NULL,
  node TEXT NOT NULL, time_ms INTEGER NOT NULL, released TEXT NOT NULL
);
CREATE INDEX holdouts_released ON holdouts (released) WHERE released <> '';

-- The sessions of each holdout, those of released ones too.
CREATE TABLE held_sessions (session TEXT, holdout TEXT, PRIMARY KEY (session, holdout)) WITHOUT ROWID;
CREATE INDEX held_sessions_of ON held_sessions (holdout);

-- Every record of an export; the same one made again has several. `held_out` is a JSON array of holdouts.
CREATE TABLE exports (
  seq INTEGER PRIMARY KEY, segment TEXT NOT NULL, offset INTEGER NOT NULL, end INTEGER NOT NULL,
  id TEXT NOT NULL, format TEXT NOT NULL, reward_version TEXT NOT NULL, from_seq INTEGER NOT NULL,
  to_seq INTEGER NOT NULL, head TEXT NOT NULL, train_rows INTEGER NOT NULL, valid_rows INTEGER NOT NULL,
  sessions INTEGER NOT NULL, ess REAL NOT NULL, held_out TEXT NOT NULL, command TEXT NOT NULL,
  person TEXT NOT NULL, node TEXT NOT NULL, time_ms INTEGER NOT NULL
);
CREATE INDEX exports_id ON exports (id);

-- Training runs. `best_loss` is the smallest validation loss that was measured, null where none was.
CREATE TABLE trainings (
  seq INTEGER PRIMARY KEY, segment TEXT NOT NULL, offset INTEGER NOT NULL, end INTEGER NOT NULL,
  id TEXT NOT NULL UNIQUE, export TEXT NOT NULL, model TEXT NOT NULL, model_digest TEXT NOT NULL,
  label TEXT NOT NULL, adapter TEXT NOT NULL, ended TEXT NOT NULL, device TEXT NOT NULL,
  iters INTEGER NOT NULL, seed INTEGER NOT NULL, best INTEGER NOT NULL, best_loss REAL,
  rows INTEGER NOT NULL, tokens_per_s REAL NOT NULL, seconds REAL NOT NULL, resumed INTEGER NOT NULL,
  job TEXT NOT NULL, person TEXT NOT NULL, node TEXT NOT NULL, started_ms INTEGER NOT NULL,
  time_ms INTEGER NOT NULL
);
CREATE INDEX trainings_export ON trainings (export);
CREATE INDEX trainings_adapter ON trainings (adapter) WHERE adapter <> '';
CREATE INDEX trainings_label ON trainings (label) WHERE label <> '';

-- Evaluations with their verdict and primary contrast. `holdouts` is a JSON array.
CREATE TABLE evaluations (
  seq INTEGER PRIMARY KEY, segment TEXT NOT NULL, offset INTEGER NOT NULL, end INTEGER NOT NULL,
  id TEXT NOT NULL UNIQUE, export TEXT NOT NULL, model TEXT NOT NULL, model_digest TEXT NOT NULL,
  verdict TEXT NOT NULL, contrast TEXT NOT NULL, metric TEXT NOT NULL, difference REAL NOT NULL,
  low REAL NOT NULL, high REAL NOT NULL, seeds INTEGER NOT NULL, items INTEGER NOT NULL,
  sessions INTEGER NOT NULL, holdouts TEXT NOT NULL, why TEXT NOT NULL, job TEXT NOT NULL,
  person TEXT NOT NULL, node TEXT NOT NULL, time_ms INTEGER NOT NULL
);
CREATE INDEX evaluations_export ON evaluations (export);

-- Which adapters an evaluation judged, and in which of its arms.
CREATE TABLE evaluated (
  adapter TEXT, evaluation TEXT, arm TEXT, seed INTEGER, PRIMARY KEY (adapter, evaluation, arm, seed)
) WITHOUT ROWID;

-- What was decided about which adapter is in use, the last one now; empty for none.
CREATE TABLE adapter_decisions (
  seq INTEGER PRIMARY KEY, segment TEXT NOT NULL, offset INTEGER NOT NULL, end INTEGER NOT NULL,
  id TEXT NOT NULL UNIQUE, action TEXT NOT NULL, adapter TEXT NOT NULL, evaluation TEXT NOT NULL,
  forced INTEGER NOT NULL, reason TEXT NOT NULL, person TEXT NOT NULL, node TEXT NOT NULL,
  time_ms INTEGER NOT NULL
);

-- Claims, and with `withdrawn` records that say of one that it is not made any more. `of` is a JSON object.
CREATE TABLE claims (
  seq INTEGER PRIMARY KEY, segment TEXT NOT NULL, offset INTEGER NOT NULL, end INTEGER NOT NULL,
  id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, text TEXT NOT NULL, of TEXT NOT NULL,
  boundary TEXT NOT NULL, person TEXT NOT NULL, node TEXT NOT NULL, time_ms INTEGER NOT NULL,
  withdrawn TEXT NOT NULL
);
CREATE INDEX claims_withdrawn ON claims (withdrawn) WHERE withdrawn <> '';

-- What was said last of a synthetic question; `question` is its beginning.
CREATE TABLE synthetic (
  id TEXT PRIMARY KEY, seq INTEGER NOT NULL, segment TEXT NOT NULL, offset INTEGER NOT NULL,
  end INTEGER NOT NULL, question TEXT NOT NULL, repository TEXT NOT NULL, "commit" TEXT NOT NULL,
  files INTEGER NOT NULL, facts INTEGER NOT NULL, person TEXT NOT NULL, node TEXT NOT NULL,
  time_ms INTEGER NOT NULL, removed INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX synthetic_commit ON synthetic (repository, "commit");
"""
