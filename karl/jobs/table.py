"""Every job, once: its name, its queue, the function, its arguments, and how often and how long it may run.

A job is asked for by its name here and by nothing else. The function's place is this table's word: no name
that comes from Redis is ever imported.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import msgspec

from karl.errors import NotFound, Refused
from karl.schema.learning import Recipe

if TYPE_CHECKING:
    from karl.settings import Settings

#: Told how much is done, of how much, and where: a word, or a mapping of figures by their names.
Progress = Callable[[int, int, object], None]


class Queue(NamedTuple):
    """One queue. A worker works on one queue; `where` says on which machines that may be.

    With `alone`, a node does one job of it at a time, however many workers it has.
    """

    name: str
    where: str
    help: str
    alone: bool = False


#: The places: beside the ledger, on a node that KARL_GPU_NODE names, anywhere.
AT_LEDGER, AT_GPU, ANYWHERE = "ledger", "gpu", "anywhere"

QUEUES = (
    Queue("default", AT_LEDGER, "What reads the whole ledger or its views; beside them."),
    Queue("embed", ANYWHERE, "Batches for the encoders; on any machine."),
    Queue("route", ANYWHERE, "Predictions about prompts, as they come; on any machine."),
    Queue("centroids", AT_LEDGER, "Routers and what they are judged by; beside the views."),
    Queue("train", AT_GPU, "Training; on the nodes that KARL_GPU_NODE names.", alone=True),
)


class Outcome(NamedTuple):
    """What a job found, as JSON can hold it. With a `reason` the job has failed for good."""

    result: Any
    reason: str | None = None


#: The function of a job: its arguments, the settings of its node, and whom to tell how far it is.
Run = Callable[[Any, "Settings", Progress], Outcome]


class Arguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a job may be asked with; the root of all, and of those without any."""


class Backfill(Arguments, frozen=True):
    """As the options of `karl backfill`; `since_ms` is Unix time in ms."""

    force: bool = False
    since_ms: Annotated[int, msgspec.Meta(ge=0)] | None = None
    agent: Annotated[str, msgspec.Meta(max_length=200)] | None = None
    project: Annotated[str, msgspec.Meta(max_length=1000)] | None = None


class Probe(Arguments, frozen=True):
    """`seconds` to hold the worker for; `note` makes two probes different."""

    seconds: Annotated[float, msgspec.Meta(ge=0, le=600)] = 0.0
    note: Annotated[str, msgspec.Meta(max_length=200)] = ""


class Embed(Arguments, frozen=True):
    """A batch for an encoder: `parcel` names its texts (karl.jobs.batches), `encoder` who encodes.

    The texts are those of the ledger's prompts from line `from_seq` up to `to_seq`.
    """

    parcel: Annotated[str, msgspec.Meta(max_length=64)] = ""
    from_seq: Annotated[int, msgspec.Meta(ge=0)] = 0
    to_seq: Annotated[int, msgspec.Meta(ge=0)] = 0
    encoder: Annotated[str, msgspec.Meta(max_length=100)] = ""


class Centroids(Arguments, frozen=True):
    """Why a router is trained; of which `skills` the exemplars are chosen anew, none for all.

    Without `apply` nothing is kept; with `force` it is used although it may be worse. A refresh does nothing
    before it is due, unless `due` says that it is.
    """

    why: Literal["bootstrap", "centroids", "rebuild", "refresh", "refine"] = "centroids"
    skills: tuple[Annotated[str, msgspec.Meta(max_length=300)], ...] = ()
    apply: bool = True
    force: bool = False
    due: bool = False
    label: Annotated[str, msgspec.Meta(max_length=100)] = ""
    head: Annotated[str, msgspec.Meta(max_length=40)] = ""
    encoder: Annotated[str, msgspec.Meta(max_length=100)] = ""
    seed: Annotated[int, msgspec.Meta(ge=0, le=2**31)] = 0
    person: Annotated[str, msgspec.Meta(max_length=200)] = ""


class Refine(Arguments, frozen=True):
    """How many rounds at most; with `apply` what proves right is kept, and trained with."""

    rounds: Annotated[int, msgspec.Meta(ge=1, le=20)] = 1
    apply: bool = False
    encoder: Annotated[str, msgspec.Meta(max_length=100)] = ""
    seed: Annotated[int, msgspec.Meta(ge=0, le=2**31)] = 0
    person: Annotated[str, msgspec.Meta(max_length=200)] = ""


class Preflight(Arguments, frozen=True):
    """Which model the node is tried with besides the tiny one; without it, none."""

    model: Annotated[str, msgspec.Meta(max_length=500)] = ""


_Rate = Annotated[float, msgspec.Meta(gt=0, le=1)]


class Train(Arguments, frozen=True):
    """What to train: `data` is the bundle of an export's files, `model` a name that the node knows.

    The rest is as karl.schema.learning.Recipe has it; `label` is a name for what comes of it.
    """

    export: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")] = "0" * 64
    data: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")] = "0" * 64
    model: Annotated[str, msgspec.Meta(max_length=500)] = ""
    iters: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 200
    batch: Annotated[int, msgspec.Meta(ge=1, le=1024)] = 4
    layers: Annotated[int, msgspec.Meta(ge=-1, le=1000)] = 8
    rank: Annotated[int, msgspec.Meta(ge=1, le=1024)] = 8
    scale: Annotated[float, msgspec.Meta(gt=0, le=1000)] = 20.0
    dropout: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.0
    learning_rate: _Rate = 1e-4
    max_tokens: Annotated[int, msgspec.Meta(ge=16, le=1 << 20)] = 512
    seed: Annotated[int, msgspec.Meta(ge=0, le=2**31)] = 0
    weighted: bool = True
    every: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 25
    valid_rows: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 100
    label: Annotated[str, msgspec.Meta(max_length=100)] = ""
    person: Annotated[str, msgspec.Meta(max_length=200)] = ""

    @property
    def recipe(self) -> Recipe:
        """How it is trained."""
        return Recipe(**{name: getattr(self, name) for name in Recipe.__struct_fields__})


_ARMS = Literal["all", "random", "reward", "advantage"]
_Seed = Annotated[int, msgspec.Meta(ge=0, le=2**31)]


class Lift(Train, frozen=True):
    """What to judge: a recipe, as `train` has it, in several arms, each with every seed.

    `data` is the bundle of train.jsonl, valid.jsonl and heldout.jsonl. `holdouts` are the ids of those that
    its held-out rows come from. An `adapter` is judged as it is, in the place of the advantage arm's own with
    its seed; that arm is then the whole export with its weights. The rest is as karl.learning.arms has it.
    """

    seeds: Annotated[tuple[_Seed, ...], msgspec.Meta(min_length=1, max_length=100)] = (0, 1, 2, 3, 4)
    arms: Annotated[tuple[_ARMS, ...], msgspec.Meta(max_length=4)] = ("advantage", "random", "all", "reward")
    share: _Rate = 0.5
    beta: Annotated[float, msgspec.Meta(gt=0, le=1000)] = 1.0
    w_max: Annotated[float, msgspec.Meta(gt=0, le=1000)] = 4.0
    items: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 150
    items_seed: _Seed = 0
    holdouts: Annotated[tuple[str, ...], msgspec.Meta(max_length=1000)] = ()
    adapter: Annotated[str, msgspec.Meta(pattern="^([0-9a-f]{64})?$")] = ""


class Job(NamedTuple):
    """One kind of job. Times in seconds; `waits` are the pauses before the first and each further retry.

    `grace_s` is how long it may go on when its worker shall end; then it is given back, and begins anew.
    One that is cancelled has `cancel_s` to leave word of that.
    `threads` are those of numpy, 0 for as many as it likes: on a busy machine several wait for each other.
    """

    name: str
    queues: tuple[str, ...]
    run: str
    arguments: type[Arguments]
    help: str
    timeout_s: int
    waits: tuple[int, ...] = ()
    result_ttl_s: int = 7 * 86_400
    failure_ttl_s: int = 35 * 86_400
    grace_s: float = 10.0
    cancel_s: float = 0.0
    threads: int = 0

    @property
    def queue(self) -> str:
        """The queue that it goes to when none is named."""
        return self.queues[0]


JOBS = (
    Job(
        "verify",
        ("default",),
        "workers.job_bodies:verify",
        Arguments,
        "Check every byte of the ledger; a finding fails the job.",
        timeout_s=6 * 3600,
        waits=(30,),
    ),
    Job(
        "backfill",
        ("default",),
        "workers.job_bodies:backfill",
        Backfill,
        "Score anew what is in the ledger, as new records.",
        timeout_s=12 * 3600,
        waits=(10, 60, 600),
    ),
    Job(
        "embed",
        ("embed",),
        "workers.embedding:embed",
        Embed,
        "Make the vectors of a batch of prompts; `karl routing embed` asks for it.",
        timeout_s=1800,
        waits=(2, 10, 60),
        result_ttl_s=86_400,
    ),
    Job(
        "route",
        ("route",),
        "workers.shadow:route",
        Arguments,
        "Predict which skills prompts ask for, for as long as prompts keep coming.",
        timeout_s=600,
        waits=(1, 5, 30),
        grace_s=0,
        threads=1,
        result_ttl_s=86_400,
        failure_ttl_s=7 * 86_400,
    ),
    Job(
        "centroids",
        ("centroids",),
        "workers.centroids:job",
        Centroids,
        "Train a router from the ledger, measure it, and use it if it is not worse.",
        timeout_s=3 * 3600,
        waits=(10, 120),
        threads=1,
    ),
    Job(
        "refine",
        ("centroids",),
        "workers.refine:job",
        Refine,
        "Look for changes of exemplars that held-out prompts prove right.",
        timeout_s=6 * 3600,
        threads=1,
    ),
    Job(
        "promotion",
        ("default",),
        "workers.promotion:job",
        Arguments,
        "Have routing go live when it has earned it, or take it back.",
        timeout_s=3600,
        waits=(30,),
    ),
    Job(
        "preflight",
        ("train",),
        "workers.preflight:job",
        Preflight,
        "Say whether this node can train, by training a little.",
        timeout_s=1800,
        waits=(2,),
        result_ttl_s=86_400,
        failure_ttl_s=7 * 86_400,
    ),
    Job(
        "train",
        ("train",),
        "workers.train:job",
        Train,
        "Train an adapter from an export; one that was broken off goes on from its last checkpoint.",
        timeout_s=24 * 3600,
        waits=(2, 10, 60, 300, 900),
        result_ttl_s=35 * 86_400,
        cancel_s=8.0,
    ),
    Job(
        "lift",
        ("train",),
        "workers.lifting:job",
        Lift,
        "Train and judge adapters of several arms; what was judged before it was broken off is kept.",
        timeout_s=3 * 24 * 3600,
        waits=(2, 10, 60, 300, 900),
        result_ttl_s=35 * 86_400,
        cancel_s=2.0,
    ),
    Job(
        "probe",
        tuple(queue.name for queue in QUEUES),
        "workers.job_bodies:probe",
        Probe,
        "Say who works on a queue, and with what.",
        timeout_s=900,
        waits=(1,),
        result_ttl_s=86_400,
        failure_ttl_s=86_400,
    ),
)  # fmt: skip


def find(name: str) -> Job:
    """Give the job of this name. Raises NotFound."""
    for job in JOBS:
        if job.name == name:
            return job
    raise NotFound(f"there is no job {name!r}; there are {', '.join(job.name for job in JOBS)}")


def find_queue(name: str) -> Queue:
    """Give the queue of this name. Raises NotFound."""
    for queue in QUEUES:
        if queue.name == name:
            return queue
    raise NotFound(f"there is no queue {name!r}; there are {', '.join(queue.name for queue in QUEUES)}")


def checked(job: Job, given: Mapping[str, Any], *, text: bool = False) -> Arguments:
    """Give the arguments of a job as its struct. With `text`, the values are words of a command line.

    Raises Refused, which says what is wrong with which.
    """
    try:
        return msgspec.convert(dict(given), job.arguments, strict=not text)
    except (msgspec.ValidationError, RecursionError) as error:
        names = ", ".join(job.arguments.__struct_fields__) or "none"
        raise Refused(f"the job {job.name} can not run with this: {error} (it takes: {names})") from None


def function(job: Job) -> Run:
    """Import the function of a job."""
    module, _, attribute = job.run.partition(":")
    found: Run = getattr(import_module(module), attribute)
    return found


def may_work(queue: Queue, settings: Settings) -> None:
    """Say whether this node may work on a queue. Raises Refused where it may not."""
    if queue.where == AT_GPU and settings.node not in settings.gpu_node:
        named = ", ".join(settings.gpu_node) or "no node"
        raise Refused(
            f"this node, {settings.node}, may not work on the queue {queue.name}: KARL_GPU_NODE names "
            f"{named}; run it there, or add this node in all places"
        )
    if queue.where == AT_LEDGER and not settings.may_write:
        raise Refused(
            f"this node, {settings.node}, may not work on the queue {queue.name}, which belongs beside "
            f"the ledger: KARL_CANONICAL_WRITER names {', '.join(settings.canonical_writer)}; run it there"
        )
