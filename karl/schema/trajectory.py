"""Trajectory: one closed turn of one agent, prompt to stop, in schema v2.

Two layers live side by side in a ledger record:
- facts: the events as they came (`karl.schema.event`), so that a better reading can be made later;
- `Trajectory`, our reading of them: the shape that the reward, the views and exports work on.

Field names and meanings follow schema v2 as its earlier producers wrote it. Every field has one
definition, here. Fields at their default are left out of the JSON.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from karl.schema.act import Act

SCHEMA_VERSION = 2

#: How a call ended, where `success` alone can not say.
CallStatus = Literal[
    "completed",
    "failed",
    "denied",
    "interrupted",
    "interrupted_or_denied",
    "background",
    "launched",
    "unknown",
]

#: What closed the turn.
ClosedBy = Literal["stop", "stop_failure", "prompt", "session_end", "idle", "import_end", "size"]


class ToolCall(msgspec.Struct, omit_defaults=True):
    """One tool call (an element of `trajectory.events`).

    `success` is null when nobody said; `exit_code` is a shell's; `ts` is ISO-8601 in UTC.
    `call_id` is the agent's tool_use_id, `agent_id` the subagent that made the call, `parent_call`
    the call that started that subagent. `status` and `error` say how a call that failed ended. `acts` is
    what it did, taken apart; `Calls.reader` says by whom.
    """

    tool_name: str = "unknown"
    key_params: dict[str, Any] = {}
    success: bool | None = None
    exit_code: int | None = None
    duration_ms: int | None = None
    ts: str = ""
    original_name: str | None = None
    placeholder: bool = False
    call_id: str | None = None
    status: CallStatus = "unknown"
    error: str | None = None
    agent_id: str | None = None
    agent_type: str | None = None
    parent_call: str | None = None
    acts: list[Act] = []


class Skill(msgspec.Struct, omit_defaults=True):
    """The skill that was used, when one was."""

    name: str | None = None
    domain: str | None = None


class Context(msgspec.Struct, omit_defaults=True):
    """Where and for what the turn ran. `prompt_text` is the prompt, within the shipper's caps.

    `turn` counts from 0 within the session; 0 where nobody says.
    """

    source: str | None = None
    domain: str | None = None
    prompt_text: str | None = None
    prompt_id: str | None = None
    human_prompt: bool | None = None
    cwd: str | None = None
    git_repo: str | None = None
    model: str | None = None
    permission_mode: str | None = None
    extracted_at: float | None = None
    complexity: Any = None
    total_tokens: int | None = None
    turn: int = 0


#: A count that is written out even when it is 0: readers of schema v2 rely on it.
_ZERO: int = msgspec.field(default_factory=int)


class Calls(msgspec.Struct, omit_defaults=True):
    """What the agent did (`trajectory` in the JSON).

    `reader` is the version of the reader that took the calls apart into acts; 0: nobody has.
    """

    events: list[ToolCall] = []
    tool_sequence: list[str] = []
    tool_counts: dict[str, int] = {}
    total_tools: int = _ZERO
    successes: int = _ZERO
    failures: int = _ZERO
    bash_errors: int = _ZERO
    observed_event_count: int = 0
    placeholder_event_count: int = 0
    events_truncated: bool = False
    prompt: str | None = None
    response: str | None = None
    tool_types: Any = None
    tool_count: int | None = None
    reader: int = 0


class Outcome(msgspec.Struct, omit_defaults=True):
    """What is known of how it went. Null means that nobody said; it is never a guess.

    `label` is a person's own word on whether the task got done (`karl annotate`).

    The reward fields are filled where a record leaves the ledger (export, `karl show`) and read
    where an older store comes in; inside the ledger a Score is a part, or a record, of its own.
    """

    annotation_status: str = "pending"
    correction_detected: bool | None = None
    redo_detected: bool | None = None
    build_success: bool | None = None
    session_continued: bool | None = None
    committed: bool | None = None
    survived: bool | None = None
    reverted: bool | None = None
    ci_passed: bool | None = None
    label: bool | None = None
    correction_score: float | None = None
    correction_classes: list[str] = []
    reward_version: str | None = None
    reward_score: float | None = None
    outcome_score: float | None = None
    process_score: float | None = None
    efficiency_score: float | None = None
    verification_score: float | None = None
    consistency_score: float | None = None
    motion_score: float | None = None
    advantage: float | None = None
    reward_components: dict[str, float] = {}
    success_inferred: bool | None = None
    corrections_in_window: int | None = None
    has_error: bool | None = None
    completed: bool | None = None
    tool_diversity: float | None = None
    files_modified: Any = None
    files_created: Any = None
    has_diffs: bool | None = None
    errors: list[Any] = []
    tool_success_rate: float | None = None


class Timing(msgspec.Struct, omit_defaults=True):
    """Times are ISO-8601 in UTC; durations are in the unit of their name."""

    started_at: str | None = None
    ended_at: str | None = None
    duration_s: float | None = None
    duration_ms: int | None = None
    tool_count: int | None = None


class Usage(msgspec.Struct, frozen=True, omit_defaults=True):
    """Tokens that a model read and wrote, each once: `input` leaves out what the cache gave or took.

    `messages` counts the responses that said so; 0 where nobody counted (hooks alone do not say).
    """

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0
    messages: int = 0

    @property
    def total(self) -> int:
        """Add the four up."""
        return self.input + self.output + self.cache_read + self.cache_write


class Trajectory(msgspec.Struct, omit_defaults=True):
    """One turn in schema v2. `extra` keeps what an older record held and v2 has no field for."""

    schema_version: Literal[2] = msgspec.field(default_factory=lambda: 2)  # written out, always
    id: str = ""
    session_id: str = ""
    source: str = "unknown"
    channel: str = "unknown"
    domain: str = "unknown"
    skill: Skill = msgspec.field(default_factory=Skill)
    recorded_at: str | None = None
    context: Context = msgspec.field(default_factory=Context)
    trajectory: Calls = msgspec.field(default_factory=Calls)
    outcome: Outcome = msgspec.field(default_factory=Outcome)
    timing: Timing = msgspec.field(default_factory=Timing)
    usage: Usage = Usage()
    quality: dict[str, Any] = {}
    cortex_bridge: dict[str, Any] = {}
    extra: dict[str, Any] = {}
