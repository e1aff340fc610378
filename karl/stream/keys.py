"""Every Redis key that KARL writes, with its type and its lifetime.

Keys of one partition share a hash tag, so that one script may touch them on a cluster too.
`{p}` is the partition number, 0 to 63; `{s}` a session id, `{h}` a sha256, `{r}` a run's id.

    karl:{p}:events      stream   events on their way to a session; one field `d`, an encoded Event, or
                                  several, one a line;
                                  trimmed by the sessions worker behind the oldest open turn
    karl:{p}:records     stream   record bodies on their way to the ledger; fields `k` (kind), `b` (body);
                                  trimmed by the ledger worker after fsync
    karl:{p}:lease       string   who folds this partition; expires with the lease
    karl:{p}:session:{s} string   what a session's next turn must know (JSON); KARL_SESSION_TTL_DAYS
    karl:{p}:seen:{s}    string   marks of a session's ledgered events: an id, or a name that another telling
                                  may give it, and the trajectory it went to, 8 bytes each; expires likewise
    karl:{p}:dead        stream   what could not be understood; fields `d`, `reason`, `where`, `node`; kept
                                  until dropped or replayed; what names no session goes to partition 0
    karl:ledger:lease    string   who writes the ledger; expires with the lease
    karl:ledger:term     string   the last term given out; never expires, only grows
    karl:ledger:wake     list     told to one standby when the writer gives the lease back; expires with it
    karl:ledger:head     string   the last line whose record left the streams: JSON with seq, hash, term; a
                                  folder without it is not the ledger; never expires
    karl:ledger:followers string  what its writer says of its followers (JSON); expires within a minute
    karl:workers         zset     sessions workers alive, scored by the Unix time (ms) when they count as gone
    karl:usual           hash     class of length|agent -> turns, and delivered|agent; never expires
    karl:calibrations    hash     agent -> the calibration of its scores (JSON); never expires
    karl:routing         hash     what routes: `policy`, `catalogue` (JSON) with its digest `rules`, `router`
                                  (its id), `judged`, what was found of its promotion last, and `off`,
                                  where it was switched off; never expires; without it routing is off
    karl:routing:claim   string   who changes the policy just now; expires within a minute
    karl:adapters:claim  string   who decides just now which adapter is in use; expires within a minute
    karl:holdout:claim   string   who decides just now what is held out; expires within a minute
    karl:prompts         stream   prompts that wait for a prediction; one field `d` (JSON), an entry leaves
                                  once its prediction is on its way; bounded: what is lost here is a
                                  prediction, never a prompt
    karl:parcel:{h}      string   bytes on their way from one machine to another, by their sha256; expires,
                                  but for the router that routes
    karl:texts           stream   parcels of prompts that wait for an encoder, and bundles of data sets that
                                  wait for who trains, so that an erasure finds them; a bounded one
    karl:vectors         stream   parcels of vectors that wait for who trains; a bounded one
    karl:run:{r}         hash     a training that is under way: `bundle`, its last checkpoint, `at` which
                                  place of its folder, and `iteration`; expires a week after the last one
    karl:adapter:{h}     string   the bundle that brings an adapter, by the adapter's id; expires with it
    karl:nodes           hash     node -> JSON of its shipper's last report (spool depth, redactions)
"""

from __future__ import annotations

import zlib

#: A constant of the system: changing it would move sessions between partitions.
PARTITIONS = 64

#: The consumer group on every events stream: its last delivered id is the last event folded.
GROUP = "sessions"
#: The consumer group on the stream of prompts.
PROMPTS_GROUP = "route"

LEDGER_LEASE = "karl:ledger:lease"
LEDGER_TERM = "karl:ledger:term"
LEDGER_WAKE = "karl:ledger:wake"
LEDGER_HEAD = "karl:ledger:head"
LEDGER_FOLLOWERS = "karl:ledger:followers"
WORKERS = "karl:workers"
NODES = "karl:nodes"
USUAL = "karl:usual"
CALIBRATIONS = "karl:calibrations"
ROUTING = "karl:routing"
ROUTING_CLAIM = "karl:routing:claim"
ADAPTERS_CLAIM = "karl:adapters:claim"
HOLDOUT_CLAIM = "karl:holdout:claim"
PROMPTS = "karl:prompts"
TEXTS = "karl:texts"
VECTORS = "karl:vectors"


def partition_of(session: str) -> int:
    """Say which partition a session lives in: crc32 of its id, modulo 64."""
    return zlib.crc32(session.encode("utf-8", "surrogatepass")) % PARTITIONS


def events_key(partition: int) -> str:
    """Name the stream of events of one partition."""
    return f"karl:{{{partition}}}:events"


def records_key(partition: int) -> str:
    """Name the stream of records of one partition."""
    return f"karl:{{{partition}}}:records"


def dead_key(partition: int) -> str:
    """Name the stream of dead letters of one partition."""
    return f"karl:{{{partition}}}:dead"


def lease_key(partition: int) -> str:
    """Name the lease of one partition."""
    return f"karl:{{{partition}}}:lease"


def session_key(partition: int, session: str) -> str:
    """Name what is carried from one turn of a session to the next."""
    return f"karl:{{{partition}}}:session:{session}"


def parcel_key(digest: str) -> str:
    """Name a parcel by the sha256 of its bytes, in hex."""
    return f"karl:parcel:{digest}"


def run_key(run: str) -> str:
    """Name what another node needs to go on with a training."""
    return f"karl:run:{run}"


def adapter_key(adapter: str) -> str:
    """Name what says which bundle brings an adapter."""
    return f"karl:adapter:{adapter}"


def seen_key(partition: int, session: str) -> str:
    """Name the ids of a session's events that are in records already."""
    return f"karl:{{{partition}}}:seen:{session}"
