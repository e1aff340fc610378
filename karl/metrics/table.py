"""Every metric that KARL's processes tell: one row each, with the processes, the name and the meaning.

Names follow Prometheus: `karl_`, base units, `_total` for counters. Labels are of bounded sets: partitions,
rules, processes, causes; never a session, a path or a text. docs/metrics.md is made from this table.
"""

from __future__ import annotations

from karl.metrics.metric import LONG_SECONDS, Counter, Gauge, Histogram, Metric

# --- every process ---
BUILD_INFO = Gauge("", "karl_build_info", "1; what runs here.", "version", "process", "node")

# --- every worker ---
LAST_ROUND = Gauge(
    "sessions ledger views follow",
    "karl_last_round_timestamp_seconds",
    "Unix time of the last round that ended well.",
)
DEFECTS = Counter(
    "sessions ledger views follow jobs",
    "karl_defects_caught_total",
    "Errors of KARL's own code that were caught; the work was done again, or kept aside.",
    "doing",
)
FAILED_ROUNDS = Counter(
    "sessions ledger views follow jobs",
    "karl_failed_rounds_total",
    "Rounds that failed and were waited out: a `connection` or file, a lost `lease`, a `defect`.",
    "cause",
)
REDIS_UP = Gauge(
    "ship sessions ledger jobs", "karl_redis_up", "1 when the server answered when it was asked last."
)
DEAD_LETTERS_TOTAL = Counter(
    "ship sessions ledger", "karl_dead_letters_total", "What this process put aside as not understood."
)

LEDGER_READABLE = Gauge("views", "karl_ledger_readable", "1 when the ledger's end could be read last.")

# --- ship ---
SPOOL_FILES = Gauge("ship", "karl_spool_files", "Events that wait in the spool.")
SPOOL_BYTES = Gauge("ship", "karl_spool_bytes", "Bytes of them.")
SPOOL_MAX_BYTES = Gauge(
    "ship", "karl_spool_max_bytes", "Bytes above which the hook stops taking events (KARL_SPOOL_MAX_MB)."
)
SPOOL_OLDEST = Gauge("ship", "karl_spool_oldest_age_seconds", "Age of the oldest of them; 0 when none waits.")
SPOOL_FULL = Gauge("ship", "karl_spool_full", "1 while the hook is told to take no events: they are lost.")
SHIPPED = Counter("ship", "karl_shipped_events_total", "Events that Redis has from this shipper.")
SHIPPED_BYTES = Counter("ship", "karl_shipped_bytes_total", "Bytes of spool files that these events had.")
PUSHED_BYTES = Counter(
    "ship", "karl_pushed_bytes_total", "Bytes that went to Redis for them, redacted and cut."
)
REDACTIONS = Counter("ship", "karl_redactions_total", "Secrets replaced by placeholders.", "rule")
PUSH_DURATION = Histogram("ship", "karl_push_duration_seconds", "One batch to Redis and its answer.")
PUSHES_REFUSED = Counter(
    "ship", "karl_pushes_refused_total", "Batches of which Redis took nothing, or not all."
)
HELD_BACK = Gauge(
    "ship",
    "karl_held_back_partitions",
    "Partitions for which events stay in the spool: over the high-water mark, or refused.",
)

# --- worker sessions ---
PARTITIONS_HELD = Gauge("sessions", "karl_partitions_held", "Partitions that this worker reads.")
LAG_ENTRIES = Gauge(
    "sessions",
    "karl_lag_entries",
    "Entries (an event each, or several) in the stream of a partition of this worker, not folded yet.",
    "partition",
)
OPEN_ENTRIES = Gauge(
    "sessions", "karl_pending_entries", "Entries of its partitions that an open turn still needs."
)
DEAD_LETTERS = Gauge("sessions", "karl_dead_letters_waiting", "Dead letters that lie in its partitions.")
EVENTS_READ = Counter(
    "sessions", "karl_events_read_total", "Events read from the streams, those read again included."
)
EVENTS_READ_BYTES = Counter("sessions", "karl_events_read_bytes_total", "Bytes of their entries.")
RECORDS_OUT = Counter("sessions", "karl_records_handed_on_total", "Records handed on to the ledger.")
RECORDS_OUT_BYTES = Counter("sessions", "karl_records_handed_on_bytes_total", "Bytes of their bodies.")
FOLD_DURATION = Histogram("sessions", "karl_fold_duration_seconds", "Folding and scoring one batch.")
HAND_ON_DURATION = Histogram(
    "sessions", "karl_hand_on_duration_seconds", "The step in which records leave for the ledger."
)
PARTITIONS_LOST = Counter(
    "sessions", "karl_partitions_lost_total", "Partitions that another worker had taken over."
)
PAUSED = Gauge(
    "sessions",
    "karl_sessions_paused",
    "1 while it reads nothing because too many records wait for the ledger.",
)

# --- worker ledger ---
LEASE_HELD = Gauge("ledger", "karl_lease_held", "1 while this process may write; 0 while it stands by.")
LEASE_TERM = Gauge("ledger", "karl_lease_term", "Term of the lease that it holds or held last.")
LAG_RECORDS = Gauge(
    "ledger", "karl_lag_records", "Records that wait for the ledger; a writer and its standby say the same."
)
TAKEOVERS = Counter("ledger", "karl_takeovers_total", "Times that this process became the writer.")
LEDGERED = Counter("ledger", "karl_ledgered_records_total", "Records on disk through this process.")
LEDGERED_BYTES = Counter("ledger", "karl_ledgered_bytes_total", "Bytes of their bodies.")
LEDGER_SEQ = Gauge("ledger", "karl_ledger_seq", "Number of the ledger's last line, while this one writes.")
APPEND_DURATION = Histogram(
    "ledger", "karl_append_duration_seconds", "One group commit: framing, write and fsync."
)

FOLLOWERS = Gauge("ledger", "karl_followers", "Followers that were heard in the last minute.")
HELD_LINES = Gauge(
    "ledger", "karl_held_lines", "Lines that stay in the streams until a follower has them, by KARL_ACK."
)
HELD_AGE = Gauge("ledger", "karl_held_oldest_age_seconds", "Age of the oldest of them; 0 when none is held.")

# --- worker follow ---
COPY_SEQ = Gauge("follow", "karl_copy_seq", "Number of the last line of the copy.")
COPY_BEHIND_LINES = Gauge("follow", "karl_copy_behind_lines", "Lines that its source has and it has not.")
COPY_BEHIND_BYTES = Gauge("follow", "karl_copy_behind_bytes", "Bytes of them.")

# --- worker views ---
VIEWS_SEQ = Gauge("views", "karl_views_seq", "Number of the last line that the views took in.")
VIEWS_BEHIND = Gauge("views", "karl_views_behind_lines", "Lines of the ledger that they did not take in yet.")
VIEWS_LINES = Counter("views", "karl_views_lines_total", "Lines taken in.")
VIEWS_DURATION = Histogram("views", "karl_view_update_duration_seconds", "Taking in one batch of lines.")
VIEWS_REBUILDS = Counter("views", "karl_views_rebuilds_total", "Times that the views were made anew.")
VIEWS_COMPLAINTS = Counter("views", "karl_views_complaints_total", "Records that they did not understand.")

# --- worker views: what was learned ---
VIEWS_READABLE = Gauge("views", "karl_views_readable", "1 when the views could be asked last.")
HELD_OUT = Gauge("views", "karl_held_out_sessions", "Sessions of the holdouts in force.")
ADAPTER_IN_USE = Gauge("views", "karl_adapter_in_use", "1 while an adapter is in use.")
LAST_TRAINING = Gauge(
    "views", "karl_last_training_timestamp_seconds", "Unix time of the last training that gave an adapter."
)
LAST_EVALUATION = Gauge(
    "views", "karl_last_evaluation_timestamp_seconds", "Unix time of the last evaluation of adapters."
)
LAST_VERDICT = Gauge("views", "karl_last_verdict", "Its verdict: 1 lift, 0 no lift, -1 harm.")

# --- worker jobs ---
JOBS_ENDED = Counter("jobs", "karl_jobs_ended_total", "Jobs that this worker ended, by how they did.", "how")
JOB_DURATION = Histogram("jobs", "karl_job_duration_seconds", "One job, however it ended.", LONG_SECONDS)

# --- worker jobs, of the queue default: routing ---
ROUTING_MODE = Gauge("jobs", "karl_routing_mode", "0 while routing is in shadow, 1 while it is live.")
HYBRID_VECTOR = Gauge("jobs", "karl_hybrid_vector_skills", "Skills that the vector router has, by policy.")
HYBRID_REGEX = Gauge("jobs", "karl_hybrid_regex_skills", "Skills that rules have by a person's word.")
PROMOTION_READY = Gauge(
    "jobs", "karl_promotion_ready", "1 when all that a promotion needs was reached at the last look."
)
PROMOTION_MISSING = Gauge("jobs", "karl_promotion_missing_checks", "Checks that were not reached then.")
PROMOTION_LOOK = Gauge(
    "jobs", "karl_promotion_last_look_timestamp_seconds", "Unix time of that look (job `promotion`)."
)
ORGANIC = Gauge(
    "jobs", "karl_organic_records", "Prompts that asked for a skill and are evidence, at the last look."
)
VECTOR_ACCURACY = Gauge(
    "jobs", "karl_vector_accuracy", "Share of these that the vector router got, where it was compared."
)
REGEX_ACCURACY = Gauge("jobs", "karl_regex_accuracy", "Share of the same that the rules got.")

# --- up ---
PROCESS_UP = Gauge("up", "karl_process_up", "1 while the process runs.", "name")
RESTARTS = Counter(
    "up", "karl_restarts_total", "Times that a process ended by itself; it is started again.", "name"
)

#: The whole table, in the order of its pages.
METRICS: tuple[Metric, ...] = tuple(row for row in dict(globals()).values() if isinstance(row, Metric))


def told_by(process: str) -> list[Metric]:
    """Give the rows that a process tells."""
    return [row for row in METRICS if not row.of or process in row.of]
