"""The tables of routing: what each is for; `karl.views.schema` says what all tables have in common.

Predictions and turns come in any order, so neither is changed by the other: `prompts` joins them when
somebody asks, and which truth counts is found then as well (karl.routing.truth).
"""

from __future__ import annotations

TABLES = (
    "places",
    "exemplars",
    "routers",
    "decisions",
    "shadows",
    "prompts",
    "suggestions",
    "uses",
    "skill_counts",
)

SQL = """
-- Skills and rules as they were told last of a folder or file of a machine; both JSON arrays.
CREATE TABLE places (
  node TEXT, place TEXT, seq INTEGER NOT NULL, segment TEXT NOT NULL, offset INTEGER NOT NULL,
  end INTEGER NOT NULL, id TEXT NOT NULL, origin TEXT NOT NULL, time_ms INTEGER NOT NULL,
  skills TEXT NOT NULL, rules TEXT NOT NULL, PRIMARY KEY (node, place)
) WITHOUT ROWID;

-- What was said last of an exemplar.
CREATE TABLE exemplars (
  id TEXT PRIMARY KEY, seq INTEGER NOT NULL, segment TEXT NOT NULL, offset INTEGER NOT NULL,
  end INTEGER NOT NULL, skill TEXT NOT NULL, text TEXT NOT NULL, contrast TEXT NOT NULL, of TEXT NOT NULL,
  person TEXT NOT NULL, removed INTEGER NOT NULL, time_ms INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX exemplars_skill ON exemplars (skill);

-- Every record of a router; one that was kept again under a label has several.
CREATE TABLE routers (
  seq INTEGER PRIMARY KEY, segment TEXT NOT NULL, offset INTEGER NOT NULL, end INTEGER NOT NULL,
  id TEXT NOT NULL, why TEXT NOT NULL, label TEXT NOT NULL, encoder TEXT NOT NULL, head TEXT NOT NULL,
  skills INTEGER NOT NULL, exemplars INTEGER NOT NULL, person TEXT NOT NULL, node TEXT NOT NULL,
  time_ms INTEGER NOT NULL
);
CREATE INDEX routers_id ON routers (id);
CREATE INDEX routers_label ON routers (label) WHERE label <> '';

-- What was decided about routing; `policy` (JSON) is what counts from then on, the last one now.
CREATE TABLE decisions (
  seq INTEGER PRIMARY KEY, segment TEXT NOT NULL, offset INTEGER NOT NULL, end INTEGER NOT NULL,
  id TEXT NOT NULL UNIQUE, action TEXT NOT NULL, mode TEXT NOT NULL, router TEXT NOT NULL,
  forced INTEGER NOT NULL, reason TEXT NOT NULL, person TEXT NOT NULL, node TEXT NOT NULL,
  time_ms INTEGER NOT NULL, policy TEXT NOT NULL
);

-- Predictions. The first live one of a prompt counts: a later one may have known more.
CREATE TABLE shadows (
  seq INTEGER PRIMARY KEY, event TEXT NOT NULL, session TEXT NOT NULL, fleet TEXT NOT NULL,
  node TEXT NOT NULL, agent TEXT NOT NULL, project TEXT NOT NULL, time_ms INTEGER NOT NULL,
  made_ms INTEGER NOT NULL, source TEXT NOT NULL, rules TEXT NOT NULL, router TEXT NOT NULL,
  encoder TEXT NOT NULL, regex TEXT, ranked TEXT NOT NULL, takes INTEGER NOT NULL, fit REAL, picked TEXT,
  took_us INTEGER NOT NULL, trajectory TEXT
);
CREATE UNIQUE INDEX shadows_live ON shadows (event) WHERE source = 'live';
CREATE UNIQUE INDEX shadows_other ON shadows (event, source, router, rules) WHERE source <> 'live';
CREATE INDEX shadows_time ON shadows (time_ms);

-- Which trajectory, by its row, has the event of a prompt.
CREATE TABLE prompts (event TEXT PRIMARY KEY, of_seq INTEGER NOT NULL) WITHOUT ROWID;

-- That an agent was told of a skill (`told`), or would have been; `of_seq` is the row of the trajectory that
-- has the event, null where none does.
CREATE TABLE suggestions (
  event TEXT PRIMARY KEY, session TEXT NOT NULL, fleet TEXT NOT NULL, node TEXT NOT NULL,
  agent TEXT NOT NULL, project TEXT NOT NULL, time_ms INTEGER NOT NULL, skill TEXT NOT NULL,
  chance REAL NOT NULL, policy TEXT NOT NULL, told INTEGER NOT NULL, of_seq INTEGER
) WITHOUT ROWID;
CREATE INDEX suggestions_time ON suggestions (time_ms);

-- Which trajectory used which skill: `called`, or typed as /name. `useful` and `corrected` as the current
-- score and flags have it, as they are counted in `skill_counts`.
CREATE TABLE uses (
  skill TEXT, time_ms INTEGER, of_seq INTEGER, called INTEGER NOT NULL, useful INTEGER NOT NULL,
  corrected INTEGER NOT NULL, PRIMARY KEY (skill, time_ms, of_seq)
) WITHOUT ROWID;
CREATE INDEX uses_of ON uses (of_seq);
CREATE INDEX uses_useful ON uses (skill, time_ms) WHERE useful = 1;
CREATE INDEX uses_corrected ON uses (skill, time_ms) WHERE corrected = 1;

-- Sums over `uses`.
CREATE TABLE skill_counts (
  skill TEXT PRIMARY KEY, activations INTEGER NOT NULL, called INTEGER NOT NULL, useful INTEGER NOT NULL,
  suppressed INTEGER NOT NULL
) WITHOUT ROWID;
"""
