"""Settings of the systems that KARL supersedes: where each is now, or why there is none.

`RETIRED` are environment variables that KARL would take for a typo: whoever sets one is told. `RENAMED` are
the others: variables that are not ours by their name, keys of a settings file, and what stayed as it was.
"""

from __future__ import annotations

_POLICY = "gone from a file: policy is records of the ledger; `karl promotion log` lists them"
_RECIPE = "`karl sft-launch --{}`; the record of the training keeps it"
_NEVER_READ = "gone: it was parsed and never used"

RETIRED: dict[str, str] = {
    "KARL_DIR": "KARL_DATA_DIR is the one folder; where the code lies is no setting",
    "KARL_CORTEX_ENTRIES": "gone: prompts are in the ledger; `karl bootstrap` learns from these",
    "KARL_VERBOSE_LOG": "`karl import` reads the agents' own transcripts instead of a log of prompts",
    "KARL_EMBEDDING_DIM": "KARL_EMBED_DIM; not set, what the service gives",
    "KARL_EMBED_TIMEOUT": "KARL_EMBED_TIMEOUT_S, in seconds",
    "KARL_CACHE_MAX_ENTRIES": "KARL_EMBED_STORE_MB, in MiB",
    "KARL_CACHE_TTL": "gone: a vector does not age; another model or version has vectors of its own",
    "KARL_WEIGHT_ALPHA": _NEVER_READ,
    "KARL_WEIGHT_MIN": _NEVER_READ,
    "KARL_WEIGHT_MAX": _NEVER_READ,
    "KARL_SFT_MAX_OVERSAMPLE": "`karl export --w-max`: the largest weight of a row",
    "KARL_SFT_ADVANTAGE_THRESHOLD": "`karl export --weights`: by advantage; --min-reward chooses turns",
    "KARL_SFT_MIN_TOOL_EVENTS": "gone: each step is a row of its own, so a short turn is no harm",
    "KARL_SFT_TRAIN_SPLIT": "`karl export --valid`, a share of whole groups",
    "KARL_PROMOTION_MIN_RECORDS": "KARL_ROUTING_MIN_RECORDS, of organic predictions",
    "KARL_PROMOTION_MIN_CACHE_HIT": "gone: what counts is how much better it is than the rules",
    "KARL_PROMOTION_MIN_AGREEMENT": "gone: to agree with the rules is no merit",
    "KARL_PROMOTION_MIN_LIFT": "gone: the lower bound of the difference must be above 0",
    "KARL_TRAIN_SSH_ALIAS": "gone: no machine is reached by ssh, workers take their work from Redis",
    "KARL_TRAIN_HOST": "KARL_GPU_NODE names the nodes that train; they take their work from Redis",
    "KARL_TRAIN_DAEMON_PORT": "gone: no machine is named, workers take their work from Redis",
    "KARL_TRAIN_REMOTE_DIR": "gone: a run is in `runs` of the training node's KARL_DATA_DIR",
    "KARL_TRAIN_MERGED_DIR": "gone: `karl adapters fuse` writes where it is told",
    "KARL_MLX_MODEL": "KARL_TRAIN_MODEL, of `karl models list`, or a folder",
    "KARL_MLX_ITERS": _RECIPE.format("iters"),
    "KARL_MLX_BATCH_SIZE": _RECIPE.format("batch"),
    "KARL_MLX_NUM_LAYERS": _RECIPE.format("layers"),
    "KARL_MLX_MAX_SEQ_LEN": _RECIPE.format("max-tokens"),
    "KARL_MLX_LR": _RECIPE.format("learning-rate"),
    "KARL_DISCORD_WEBHOOK": "KARL_WEBHOOK_URL, which `karl post-digest` sends to, and nothing else does",
    "KARL_SYNTHETIC_MIN_DIFF": _NEVER_READ,
    "KARL_SYNTHETIC_MAX_DIFF": _NEVER_READ,
    "KARL_SYNTHETIC_DAYS": "`karl synth-qa --since 30d`, or `karl synthetic --days`; it was never read",
    "KARL_FORCE_WRITE": "gone: a lease says who writes the ledger; KARL_CANONICAL_WRITER names who may",
    "KARL_SEA_DIR": "gone: what is known of skills is a view; `karl skills states`",
    "KARL_ROLEPLAY_BACKEND": "gone: no model of others is asked for trajectories",
    "KARL_TOGETHER_MODEL": "gone: no model of others is asked for trajectories",
}

RENAMED: dict[str, str] = {
    "KARL_DATA_DIR": "the same, for every process",
    "KARL_REWARD_W_OUTCOME, _PROCESS, _EFFICIENCY": "the same, and three more; they must sum to 1",
    "KARL_CANONICAL_WRITER": "now a list; not set, all may; who may not says so",
    "RAG_EMBED_URL, KARL_EMBED_URL": "KARL_EMBED_URL, which was never read",
    "MAC4_HOST, MLX_URL": "gone: `karl worker jobs train` runs on the node that trains",
    "DISCORD_WEBHOOK_SERVICE_HEALTH, DISCORD_WEBHOOK_KARL": RETIRED["KARL_DISCORD_WEBHOOK"],
    "OPENAI_API_KEY": RETIRED["KARL_TOGETHER_MODEL"],
    "routing_mode, routing_overrides, skill_penalties": _POLICY,
    "promotion_thresholds.*, auto_promote, promoted_at, promotion_checks": _POLICY,
    "last_promotion_check, rollback_at, rollback_reason, pre_promotion_reward_mean": _POLICY,
    "centroid_refresh_interval_hours, last_centroid_refresh": "KARL_ROUTING_REFRESH_H; when is in the ledger",
    "embedding.*, embed_timeout": "KARL_EMBED_*",
    "sft.*": "options of `karl export` and `karl sft-launch`, kept in the records of what they made",
}
