"""What checks of a claim are made of, and what they say.

yes         so it is
no          so it is not
broken      an id is not there, a hash or a figure is not what it should be
unknown     there is not enough to say
elsewhere   the files are on another machine; nothing hangs on it
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from karl.schema.learning import EvaluationBody, ExportBody, TrainingBody

Result = Literal["yes", "no", "broken", "unknown", "elsewhere"]
#: `stated`: a free claim, of which nothing is checked but that what it names is there.
Status = Literal["supported", "stated", "not supported", "broken", "unproven"]


class Check(msgspec.Struct, frozen=True):
    """One check: its name, what it found, and a sentence on it."""

    name: str
    result: Result
    says: str


class Files(msgspec.Struct, frozen=True):
    """What of files is on this machine: `wrong` says what is not as it should be; not `here`, nothing is."""

    here: bool
    wrong: str = ""


class Used(msgspec.Struct, frozen=True):
    """A training so far, and the marks of the sessions of its export; null where that has no record."""

    training: str
    export: str
    sessions: frozenset[str] | None


class HoldoutFacts(msgspec.Struct, frozen=True):
    """A holdout: the marks of its sessions, and the record that released it, empty where it is in force."""

    sessions: frozenset[str]
    released_by: str = ""


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What was looked up for a claim.

    `of` is what it names. `missing` says of records that it needs why they can not be read: `export 3f2a…`.
    `trainings` are those of the adapters that an evaluation names, by adapter, or the one that is claimed.
    `names` has for each training's adapter the id that follows from its files. `line` is the hash of the
    ledger's line that the export ends with, empty where the ledger has none. `used` are all trainings so far.
    `look` numbers the evaluation among those that could have said lift of the same held-out sessions, from 1.
    """

    of: Mapping[str, str] = {}
    missing: Mapping[str, str] = {}
    evaluation: EvaluationBody | None = None
    export: ExportBody | None = None
    export_files: Files = Files(here=False)
    line: str = ""
    trainings: Mapping[str, TrainingBody] = {}
    names: Mapping[str, str] = {}
    files: Mapping[str, Files] = {}
    holdouts: Mapping[str, HoldoutFacts] = {}
    used: Sequence[Used] = ()
    look: int = 1
