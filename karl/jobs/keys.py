"""The keys of RQ that KARL reads by itself, and those that it adds.

rq:queues                set      the keys of all queues
rq:queue:{q}             list     ids of jobs that wait; workers move one to `rq:queue:{q}:intermediate`
rq:job:{id}              hash     one job; `karl_stop` in it says that somebody wants it ended
rq:results:{id}          stream   what its runs gave, the newest last
rq:execution:{id}:{run}  hash     one run; expires when its worker is silent
rq:wip:{q}, finished, failed, scheduled, canceled
zset     the jobs in that state
rq:workers:{q}           set      the keys of a queue's workers; rq:worker:{name} expires with the worker
rq:karl:waiting:{digest} string   the id of the job that waits with these arguments; expires in a week
rq:karl:alone:{node}     string   the worker that has this node for itself; expires with the lease
rq:karl:cron             hash     a row of the schedule -> when it was due last, and its job (JSON)
rq:karl:cron:turn        string   who asks for what is due at this moment; expires within a minute
"""

from __future__ import annotations

import hashlib

PREFIX = "rq"
QUEUES = f"{PREFIX}:queues"
WORKERS = f"{PREFIX}:workers"

CRON = f"{PREFIX}:karl:cron"
CRON_TURN = f"{PREFIX}:karl:cron:turn"

#: The states that have a set of their own, as RQ names them.
WIP, FINISHED, FAILED, SCHEDULED, CANCELED = "wip", "finished", "failed", "scheduled", "canceled"

#: The field of a job by which a person asks its worker to end it.
STOP = "karl_stop"


def alone_key(node: str) -> str:
    """Name the lease of a node that does one job at a time."""
    return f"{PREFIX}:karl:alone:{node}"


def queue_key(queue: str) -> str:
    """Name the list of a queue's waiting jobs."""
    return f"{PREFIX}:queue:{queue}"


def moved_key(queue: str) -> str:
    """Name the list of jobs between waiting and running."""
    return f"{PREFIX}:queue:{queue}:intermediate"


def state_key(state: str, queue: str) -> str:
    """Name the set of a queue's jobs in a state."""
    return f"{PREFIX}:{state}:{queue}"


def job_key(job: str) -> str:
    """Name the hash of a job."""
    return f"{PREFIX}:job:{job}"


def results_key(job: str) -> str:
    """Name the stream of what a job's runs gave."""
    return f"{PREFIX}:results:{job}"


def execution_key(member: str) -> str:
    """Name the hash of one run; `member` is as it stands in the set of running jobs."""
    return f"{PREFIX}:execution:{member}"


def worker_key(name: str) -> str:
    """Name the hash of a worker."""
    return f"{PREFIX}:worker:{name}"


def workers_key(queue: str) -> str:
    """Name the set of a queue's workers."""
    return f"{PREFIX}:workers:{queue}"


def waiting_key(queue: str, name: str, arguments: bytes) -> str:
    """Name the mark that such a job waits already."""
    digest = hashlib.sha256(b"\0".join((queue.encode(), name.encode(), arguments))).hexdigest()
    return f"{PREFIX}:karl:waiting:{digest[:32]}"
