"""Every setting, read once at a front door from the environment and passed down as plain values.

Invariants:
- Each `KARL_*` variable is one row of SETTINGS: name, type, default and meaning stand together.
- An unknown `KARL_*` variable is an error, and so is a value that does not fit: a typo never
  falls back to a default in silence.
- Secrets do not show in `repr`, in `karl config` or in an error message.
"""

from __future__ import annotations

import difflib
import math
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from karl.errors import SettingsError
from karl.hidden import hidden
from karl.retired import RETIRED
from karl.setting_values import (
    a_ack,
    a_device,
    a_redis_url,
    amount,
    count,
    flag,
    names,
    path,
    paths,
    port,
    seconds,
    share,
    text,
)


def _setting(
    parse: Callable[[str], Any], default: Any, meaning: str, *, secret: bool = False, whole: bool = False
) -> Any:
    """Make a row; of a URL that is secret the password alone is hidden, or with `whole` all but its host."""
    metadata = {"parse": parse, "meaning": meaning, "secret": secret, "whole": whole}
    if callable(default):
        return field(default_factory=default, metadata=metadata, repr=not secret)
    return field(default=default, metadata=metadata, repr=not secret)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the environment says; build it with `read_settings`."""

    data_dir: Path = _setting(
        path, lambda: Path.home() / ".karl", "Folder of everything KARL keeps on this machine."
    )
    spool_dir: Path | None = _setting(
        path, None, "Folder the hook writes to; `spool` in the data folder when not set."
    )
    redis_url: str = _setting(
        a_redis_url,
        "",
        "Redis 7.0 or newer, or Valkey; when not set, the server that `karl up` starts in the data folder.",
        secret=True,
    )
    fleet: str = _setting(text, "default", "Name of the fleet that this machine's agents belong to.")
    node: str = _setting(text, socket.gethostname, "Name of this machine in events and records.")
    disable: bool = _setting(flag, False, "1 turns the hook off for every agent started from here.")
    test_data: str = _setting(
        text, "", "Folder of real sessions for the tests; they skip what needs it when absent."
    )
    log_level: str = _setting(
        text, "INFO", "What the processes say on stderr: DEBUG, INFO, WARNING or ERROR."
    )

    spool_max_mb: int = _setting(
        count,
        1024,
        "Spool size in MiB above which the hook stops accepting events, with a loud warning.",
    )
    http_port: int = _setting(
        port,
        0,
        "Port on 127.0.0.1 at which `karl ship` takes events of agents that post them; 0 for none.",
    )
    http_token: str = _setting(
        text,
        "",
        "What those agents prove themselves with; when not set, `http.token` in the data folder.",
        secret=True,
    )
    string_max_chars: int = _setting(
        count,
        8192,
        "Longest string kept of a payload; a longer one keeps head, tail, length and hash.",
    )
    entry_max_kb: int = _setting(
        count, 64, "Largest stream entry in KiB; strings of a larger one are cut shorter."
    )
    stream_max_entries: int = _setting(
        count,
        20_000,
        "Entries in one partition's stream above which shippers keep events in the spool.",
    )

    idle_timeout_s: float = _setting(
        seconds, 1800.0, "Silence after which an open turn is closed without its Stop."
    )
    turn_max_events: int = _setting(
        count, 2000, "Events after which a turn is closed, to go on in a new one."
    )
    turn_max_mb: int = _setting(count, 8, "MiB of events after which a turn is closed likewise.")
    open_max_events: int = _setting(
        count, 10_000, "Events of open turns in one partition above which its longest turn is closed."
    )
    session_ttl_days: int = _setting(
        count,
        35,
        "Days after its last turn in which a session can go on and a re-sent event is known.",
    )

    canonical_writer: tuple[str, ...] = _setting(
        names, (), "Nodes that may write the ledger, with commas between; all of them when not set."
    )
    lease_ttl_s: float = _setting(seconds, 5.0, "Seconds after which a silent lease holder counts as gone.")
    rq_url: str = _setting(
        a_redis_url,
        "",
        "Redis of the jobs, never a cluster; when not set, the line's own.",
        secret=True,
    )
    gpu_node: tuple[str, ...] = _setting(
        names, (), "Nodes that may work on the queue `train`, with commas between; none when not set."
    )
    train_device: str = _setting(
        a_device,
        "",
        "What this node trains on: `apple`, `cuda` or `cpu`; it is checked. Not set, what mlx finds.",
    )
    train_model: str = _setting(
        text,
        "smollm2",
        "Model that adapters are for: a name of `karl models list`, a folder, or what mlx-lm can load.",
    )
    cron_off: tuple[str, ...] = _setting(
        names,
        (),
        "Rows of `karl cron list` that shall not run, with commas between; `all` for none of them.",
    )
    segment_max_mb: int = _setting(count, 64, "Size in MiB at which the ledger starts a new segment file.")
    ack: str = _setting(
        a_ack,
        "disk",
        "When a record may leave the stream: once the ledger's `disk` has it, or once that of a `replica` has"
        " it too.",
    )
    ledger_port: int = _setting(
        port, 0, "Port at which `karl worker ledger` lets followers copy the ledger; 0 for none."
    )
    ledger_host: str = _setting(text, "127.0.0.1", "Address of that port.")
    ledger_token: str = _setting(
        text,
        "",
        "What followers prove themselves with; when not set, `ledger.token` in the data folder.",
        secret=True,
    )
    ledger_tls_cert: Path | None = _setting(
        path, None, "Certificate (PEM, with its chain) under which the ledger is served with TLS."
    )
    ledger_tls_key: Path | None = _setting(path, None, "Key (PEM) of that certificate.")

    metrics_port: int = _setting(
        port,
        0,
        "Port at which a process tells its metrics to Prometheus, 0 for none; under `karl up`, which takes it"
        " for itself, its processes have the next ones in their order.",
    )
    metrics_host: str = _setting(text, "127.0.0.1", "Address of that port.")

    reward_version: str = _setting(text, "2", "Version of the reward that new trajectories are scored with.")
    reward_w_outcome: float | None = _setting(
        share, None, "Weight of the outcome signal; not set, the version's own. The six must sum to 1."
    )
    reward_w_process: float | None = _setting(share, None, "Weight of the process signal.")
    reward_w_efficiency: float | None = _setting(share, None, "Weight of the efficiency signal.")
    reward_w_verification: float | None = _setting(share, None, "Weight of the verification signal.")
    reward_w_consistency: float | None = _setting(share, None, "Weight of the consistency signal.")
    reward_w_motion: float | None = _setting(share, None, "Weight of the motion signal.")

    embed_encoder: str = _setting(
        text,
        "",
        "Encoder: `minilm`, `static`, `http`, several with +; not set, the best that is installed.",
    )
    embed_url: str = _setting(
        text,
        "",
        "Service that gives vectors, for the encoder `http`; prompts are sent there.",
        secret=True,
    )
    embed_api: str = _setting(
        text,
        "",
        "What that service speaks: `single` or `openai`; when not set, `openai` if the path ends with"
        " /embeddings.",
    )
    embed_model: str = _setting(text, "", "Model that the service is asked for.")
    embed_token: str = _setting(text, "", "What it is shown as a bearer token.", secret=True)
    embed_dim: int = _setting(
        amount, 0, "Numbers in its vectors; others are refused. 0: as many as its first has."
    )
    embed_timeout_s: float = _setting(seconds, 10.0, "Seconds that its answer is waited for.")
    embed_threads: int = _setting(count, 2, "Threads of an encoder that runs here.")
    embed_store_mb: int = _setting(count, 256, "Most MiB of vectors that are kept in the data folder.")

    skills_dir: tuple[Path, ...] = _setting(
        paths,
        lambda: (Path.home() / ".claude" / "skills",),
        "Folders of skills, or files that list them, with commas between.",
    )
    routing_rules: Path | None = _setting(
        path,
        None,
        "File of the rules that route by patterns; `rules.toml` in the data folder when not set.",
    )
    routing_min_records: int = _setting(
        count, 200, "Organic predictions with a known truth that a promotion needs at least."
    )
    routing_share: float = _setting(
        share,
        0.8,
        "Share of the sessions that are told of skills once routing is live; the rest is control.",
    )
    routing_live: bool = _setting(
        flag,
        False,
        "1: `karl up` answers agents' hooks with the skill that was picked, once routing is live.",
    )
    routing_refresh_h: int = _setting(count, 24, "Hours after which `karl auto-refresh` trains a new router.")
    allow_seeding: bool = _setting(
        flag,
        False,
        "1 lets `karl seed` and `karl reshadow` write predictions made afterwards.",
    )
    dashboard_password: str = _setting(
        text,
        "",
        "Password of `karl dashboard rq`; when not set, `dashboard.password` in the data folder.",
        secret=True,
    )
    webhook_url: str = _setting(
        text,
        "",
        "Webhook that `karl post-digest` sends to: Discord's, Slack's, or one that takes JSON.",
        secret=True,
        whole=True,
    )

    def __post_init__(self) -> None:
        """Check what no single value can know. Raises SettingsError."""
        if any(getattr(self, item.name) is not None for item in fields(self) if "reward_w_" in item.name):
            _ = self.reward_weights
        if self.log_level.upper() not in {"DEBUG", "INFO", "WARNING", "ERROR"}:
            raise SettingsError(f"KARL_LOG_LEVEL={self.log_level}: expected DEBUG, INFO, WARNING or ERROR")

    @property
    def reward_weights(self) -> dict[str, float]:
        """The weight of each signal that the reward of the settings' version is made with, by its name.

        Raises SettingsError for a version that there is not, and for weights that do not sum to 1.
        """
        from karl.reward.score import VERSIONS  # noqa: PLC0415 - most who read settings score nothing

        if self.reward_version not in VERSIONS:
            known = ", ".join(sorted(VERSIONS))
            raise SettingsError(f"KARL_REWARD_VERSION={self.reward_version}: there are the versions {known}")
        own = VERSIONS[self.reward_version].WEIGHTS
        given = {name: getattr(self, f"reward_w_{name}") for name in own}
        weights = {name: own[name] if weight is None else weight for name, weight in given.items()}
        total = math.fsum(weights.values())
        if abs(total - 1) > 1e-6:
            raise SettingsError(
                f"the six KARL_REWARD_W_* weights must sum to 1; they sum to {total:g}, those of version "
                f"{self.reward_version} counted where none is set"
            )
        return weights

    @property
    def may_write(self) -> bool:
        """Say whether this node may write the ledger."""
        return not self.canonical_writer or self.node in self.canonical_writer

    @property
    def spool(self) -> Path:
        """The folder that the hook writes to."""
        return self.spool_dir or self.data_dir / "spool"

    @property
    def ledger(self) -> Path:
        """The folder of the ledger's segments."""
        return self.data_dir / "ledger"

    @property
    def views(self) -> Path:
        """The SQLite file of the views."""
        return self.data_dir / "views" / "views.sqlite"

    @property
    def rules(self) -> Path:
        """The file of the rules that route by patterns."""
        return self.routing_rules or self.data_dir / "rules.toml"

    @property
    def routers(self) -> Path:
        """The folder of routers that were trained, each by its id."""
        return self.data_dir / "routers"

    @property
    def exports(self) -> Path:
        """The folder of data sets that were exported to be trained with, each by its id."""
        return self.data_dir / "exports"

    @property
    def runs(self) -> Path:
        """The folder of what this node trains and evaluates: data, log and checkpoints of each."""
        return self.data_dir / "runs"

    @property
    def adapters(self) -> Path:
        """The folder of adapters, each by its id."""
        return self.data_dir / "adapters"

    @property
    def models(self) -> Path:
        """The folder of base models, each by its name."""
        return self.data_dir / "models"

    @property
    def fast(self) -> Path:
        """The folder of what makes mlx fast on this machine (karl.training.blas)."""
        return self.models / ".cache"

    @property
    def vectors(self) -> Path:
        """The folder of vectors that encoders have made."""
        return self.data_dir / "vectors"


def variable(name: str) -> str:
    """Give the environment variable of a field of Settings."""
    return f"KARL_{name.upper()}"


def read_settings(environ: Mapping[str, str]) -> Settings:
    """Read all settings. Raises SettingsError naming the variable, the value and what was expected."""
    known = {variable(item.name): item for item in fields(Settings)}
    unknown = sorted(name for name in environ if name.startswith("KARL_") and name not in known)
    if unknown:
        if now := RETIRED.get(unknown[0]):
            raise SettingsError(f"{unknown[0]} is not a setting of KARL any more: {now}")
        near = difflib.get_close_matches(unknown[0], known, n=1)
        hint = f"; did you mean {near[0]}?" if near else "; `karl config` lists all settings"
        raise SettingsError(f"{unknown[0]} is not a setting of KARL{hint}")
    values: dict[str, Any] = {}
    for name, item in known.items():
        if name not in environ:
            continue
        try:
            values[item.name] = item.metadata["parse"](environ[name])
        except ValueError as error:
            shown = "…" if item.metadata["secret"] else environ[name]
            raise SettingsError(f"{name}={shown}: {error}") from None
    return Settings(**values)


def _shown(value: Any) -> Any:
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value) if isinstance(value, Path) else value


def describe(settings: Settings, environ: Mapping[str, str]) -> list[dict[str, Any]]:
    """List every setting: variable, value as it may be shown, whether it was set, and its meaning."""
    rows = []
    for item in fields(Settings):
        value = getattr(settings, item.name)
        shown = hidden(value, host_only=item.metadata["whole"]) if item.metadata["secret"] else value
        rows.append(
            {
                "variable": variable(item.name),
                "value": _shown(shown),
                "set": variable(item.name) in environ,
                "meaning": item.metadata["meaning"],
            }
        )
    return rows
