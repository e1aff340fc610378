"""Vectors of the ledger's prompts, made by whichever machines work on the queue `embed`.

    prompts that have no vector --- cut into batches, a parcel each ---> jobs --- a parcel each,
    announced on karl:vectors ---> collected into the store of who wants them

Invariants:
- What travels is what the ledger has: prompts were redacted before they came there.
- A batch of the same texts, encoder and lines is the same job, whoever asks how often.
- A vector is kept by what it was made of, so a batch that is done twice, or collected twice, changes nothing.
- An erasure takes all texts out that wait (`forget`): whose they are is not looked at.
- At most WAITING_MAX batches are on their way; the rest waits in the ledger, which has it anyway.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from karl.errors import LedgerDamaged, LedgerRewound, NotFound, Refused, Unreadable
from karl.jobs import table
from karl.jobs.table import Outcome, Progress
from karl.stream import bundles, keys, parcels
from karl.stream.connect import command
from workers.encoder import opened_encoder
from workers.line import on_line
from workers.whole_files import write_whole

if TYPE_CHECKING:
    from pathlib import Path

    from redis import Redis

    from karl.encoders.encoder import Encoder
    from karl.encoders.store import Store
    from karl.settings import Settings
    from karl.views.rows import Place

#: Texts of one batch, and how many are encoded between two words on how far it is.
BATCH, SLICE = 512, 32
#: Batches that are on their way at one time.
WAITING_MAX = 64
#: Seconds for which texts wait for a worker, and vectors for who wants them.
TEXTS_TTL_S, VECTORS_TTL_S = 7 * 86_400, 86_400
#: Announcements that are kept: more than are ever on their way.
_ANNOUNCED_MAX = 4096
_READ = 64
#: The encoders whose vectors are made sooner than they are looked up.
_NOT_KEPT = frozenset({"static"})
_COLLECTED = "collected"

_log = logging.getLogger("karl")


class Announced(msgspec.Struct, frozen=True, omit_defaults=True):
    """A parcel of texts, or of vectors, that is there; or a `bundle` of a data set (karl.stream.bundles)."""

    parcel: str
    bundle: bool = False


class Prompt(NamedTuple):
    """A person's words in line `seq` of the ledger, as routing looks at them."""

    seq: int
    text: str


class Batch(NamedTuple):
    """Texts for one encoder, of lines `from_seq` to `to_seq`; `lacking` of them have no vector here."""

    encoder: str
    texts: list[str]
    from_seq: int
    to_seq: int
    lacking: int


class Collected(msgspec.Struct, frozen=True):
    """Vectors that were taken into the store, of so many parcels; `lost` had expired or were damaged."""

    vectors: int = 0
    parcels: int = 0
    lost: int = 0


class _Told(msgspec.Struct):
    class Trajectory(msgspec.Struct):
        class Context(msgspec.Struct):
            prompt_text: str | None = None
            human_prompt: bool | None = None

        context: Context = msgspec.field(default_factory=Context)

    trajectory: Trajectory


_told = msgspec.json.Decoder(_Told).decode

# --- the job ---


def embed(arguments: table.Embed, settings: Settings, progress: Progress) -> Outcome:
    """Make the vectors of a batch, put them into Redis and announce them."""
    from karl.jobs import batches  # noqa: PLC0415 - numpy loads with the job that needs it

    with on_line(settings, "karl-embed") as redis:
        texts = batches.read_texts(parcels.get(redis, arguments.parcel))
        if not texts:
            raise Refused("a batch without texts")
        made = _encoded(arguments, texts, settings, progress)
        parcel = parcels.put(redis, batches.pack_vectors(made), ttl_s=VECTORS_TTL_S)
        told: dict[Any, Any] = {"d": msgspec.json.encode(Announced(parcel))}
        redis.xadd(keys.VECTORS, told, maxlen=_ANNOUNCED_MAX, approximate=True)
    return Outcome({"vectors": parcel, "node": settings.node, **msgspec.to_builtins(made.about)})


def _encoded(arguments: table.Embed, texts: list[str], settings: Settings, progress: Progress) -> Any:
    import numpy as np  # noqa: PLC0415

    from karl.encoders.store import key_of  # noqa: PLC0415
    from karl.jobs.batches import About, Made  # noqa: PLC0415

    with opened_encoder(settings, arguments.encoder) as encoder:
        rows = []
        for start in range(0, len(texts), SLICE):
            rows.append(encoder.encode(texts[start : start + SLICE]))
            progress(min(start + SLICE, len(texts)), len(texts), "texts")
    made = [key_of(encoder.name, encoder.version, text) for text in texts]
    about = About(
        encoder.name, encoder.version, encoder.dim, len(texts), arguments.from_seq, arguments.to_seq
    )
    return Made(about, made, np.vstack(rows))


# --- who asks for it ---


def kept_parts(settings: Settings, name: str = "") -> list[str]:
    """Name the single encoders of one (empty: of the settings, or the best here) whose vectors are kept.

    Raises EncoderMissing where there is none.
    """
    from karl.encoders.choose import best  # noqa: PLC0415
    from karl.errors import EncoderMissing  # noqa: PLC0415

    name = name or settings.embed_encoder or ("http" if settings.embed_url else best())
    if not name:
        raise EncoderMissing("there is no encoder on this machine: pip install 'karl-ledger[embed]'")
    return [part for part in name.split("+") if part not in _NOT_KEPT]


def prompts(settings: Settings, since_ms: int | None = None) -> Iterator[Prompt]:
    """Give the prompts of people in the ledger, by their lines; what can not be read is left out.

    Raises NotFound without views.
    """
    from karl.routing.text import asked  # noqa: PLC0415
    from karl.views.queries import Filter, Views  # noqa: PLC0415

    with Views(settings.views) as views:
        places = sorted(row.place for row in views.walk(Filter(since_ms=since_ms)))
    for place in places:
        text = _prompt_at(settings.ledger, place)
        if text and (words := asked(text)):
            yield Prompt(place.seq, words)


def _prompt_at(ledger: Path, place: Place) -> str | None:
    from karl.ledger.reader import read_at  # noqa: PLC0415

    try:
        context = _told(read_at(ledger, place.segment, place.offset, place.end).body).trajectory.context
    except (LedgerDamaged, LedgerRewound, msgspec.DecodeError) as error:
        _log.warning("a trajectory is left out: %s", error)
        return None
    return None if context.human_prompt is False else context.prompt_text


def missing(
    settings: Settings, encoder: Encoder, found: Iterator[Prompt], size: int = BATCH
) -> Iterator[Batch]:
    """Cut prompts into batches, and give those that have a text whose vector the store lacks.

    Where a batch begins and ends depends on the ledger alone, so that one which is on its way is known again.
    The same text counts once, where it stands first.
    """
    from karl.encoders.store import key_of  # noqa: PLC0415

    store = store_of(settings)
    for part in _parts(found, size):
        wanted = [key_of(encoder.name, encoder.version, one.text) for one in part]
        known = store.get(wanted, encoder.dim)
        if lacking := sum(key not in known for key in wanted):
            yield Batch(encoder.name, [one.text for one in part], part[0].seq, part[-1].seq, lacking)


def _parts(found: Iterator[Prompt], size: int) -> Iterator[list[Prompt]]:
    part: list[Prompt] = []
    seen: set[bytes] = set()
    for one in found:
        digest = hashlib.sha256(one.text.encode("utf-8", "replace")).digest()
        if digest in seen:
            continue
        seen.add(digest)
        part.append(one)
        if len(part) == size:
            yield part
            part = []
    if part:
        yield part


class Asked(NamedTuple):
    """A batch that was asked for: its job, whether that is new, and its texts."""

    job: str
    new: bool
    texts: int


def ask(line: Redis, rq: Redis, batch: Batch) -> Asked:
    """Put a batch into Redis and enqueue its job. Raises the client's error."""
    from karl.jobs import asking, batches, gate  # noqa: PLC0415 - RQ loads with who asks for a job

    parcel = parcels.put(line, batches.pack_texts(batch.texts), ttl_s=TEXTS_TTL_S)
    announce(line, Announced(parcel))
    arguments = table.Embed(parcel, batch.from_seq, batch.to_seq, batch.encoder)
    digest = hashlib.sha256(msgspec.json.encode(arguments)).hexdigest()
    made = asking.once(rq, gate.Asked(table.find("embed"), arguments), f"embed-{digest[:32]}")
    return Asked(made.id, made.new, len(batch.texts))


def announce(line: Redis, told: Announced) -> None:
    """Say that texts wait in Redis, so that an erasure finds them. Raises the client's error."""
    said: dict[Any, Any] = {"d": msgspec.json.encode(told)}
    line.xadd(keys.TEXTS, said, maxlen=_ANNOUNCED_MAX, approximate=True)


def forget(line: Redis) -> int:
    """Take all texts that wait for an encoder, and all data sets that wait for who trains, out of Redis.

    Gives how many. Their jobs fail; `karl routing embed` and `karl train` ask for what the ledger still has.
    Raises the client's error.
    """
    found = command(line, "XRANGE", keys.TEXTS, "-", "+")
    for _, (_, data) in found:
        told = msgspec.json.decode(data, type=Announced)
        if told.bundle:
            _drop(line, told.parcel)
        parcels.let_go(line, told.parcel, 0)
    line.delete(keys.TEXTS)
    return len(found)


def _drop(line: Redis, bundle: str) -> None:
    try:
        bundles.drop(line, bundle)
    except Unreadable as error:  # nobody can read it either, and its pieces expire
        _log.warning("the data set %s can not be dropped: %s", bundle[:12], error)


# --- who wants the vectors ---


def store_of(settings: Settings) -> Store:
    """Open this machine's store of vectors. Raises OSError."""
    from karl.encoders.store import Store as Opened  # noqa: PLC0415

    return Opened(settings.vectors, max_bytes=settings.embed_store_mb << 20)


def collect(settings: Settings, redis: Redis) -> Collected:
    """Take the vectors that were announced since the last time into this machine's store.

    Raises the client's error, and OSError.
    """
    store = store_of(settings)
    mark = settings.vectors / _COLLECTED
    last = mark.read_text(encoding="ascii") if mark.exists() else "-"
    done = Collected()
    while True:
        found = command(
            redis, "XRANGE", keys.VECTORS, last if last == "-" else f"({last}", "+", "COUNT", _READ
        )
        for entry, fields in found:
            count = _taken(redis, store, dict(zip(fields[::2], fields[1::2], strict=True)))
            last = entry.decode("ascii")
            done = Collected(
                done.vectors + (count or 0), done.parcels + (count is not None), done.lost + (count is None)
            )
        if found:
            write_whole(mark, last.encode("ascii"))
        if len(found) < _READ:
            return done


def _taken(redis: Redis, store: Store, fields: dict[bytes, bytes]) -> int | None:
    """Take one parcel; gives its vectors, null when it is not there, or is none."""
    from karl.jobs import batches  # noqa: PLC0415

    try:
        parcel = msgspec.json.decode(fields.get(b"d", b""), type=Announced).parcel
        made = batches.read_vectors(parcels.get(redis, parcel))
    except (NotFound, Unreadable, msgspec.DecodeError) as error:
        _log.warning("a parcel of vectors is left out: %s", error)
        return None
    store.put(dict(zip(made.keys, made.vectors, strict=True)), made.about.dim)
    return made.about.count


# --- all of it ---


class Done(msgspec.Struct):
    """Prompts that had no vector, the batches that were asked for, those that failed, what came back."""

    encoder: str
    prompts: int = 0
    batches: int = 0
    new: int = 0
    left: int = 0
    failed: list[str] = []
    collected: int = 0


def embed_all(
    settings: Settings,
    line: Redis,
    rq: Redis,
    encoder: Encoder,
    since_ms: int | None,
    *,
    wait: Callable[[float], None] | None = time.sleep,
    progress: Progress | None = None,
) -> Done:
    """Have vectors made of all prompts that lack one. Without `wait`, enqueue what may be on its way.

    Raises NotFound without views, the clients' errors, OSError.
    """
    collect(settings, line)
    done = Done(encoder.name)
    batches = list(missing(settings, encoder, prompts(settings, since_ms)))
    done.prompts = sum(batch.lacking for batch in batches)
    total = sum(len(batch.texts) for batch in batches)
    going: dict[str, int] = {}
    finished = 0
    for batch in batches:
        while len(going) >= WAITING_MAX and wait:
            finished += _waited(rq, going, done, wait)
            done.collected += collect(settings, line).vectors
            _say(progress, finished, rq, going, total)
        if len(going) >= WAITING_MAX:
            done.left += batch.lacking
            continue
        asked = ask(line, rq, batch)
        done.batches, done.new = done.batches + 1, done.new + asked.new
        going[asked.job] = asked.texts
    while going and wait:
        finished += _waited(rq, going, done, wait)
        _say(progress, finished, rq, going, total)
    if wait:
        done.collected += collect(settings, line).vectors
    return done


#: Seconds between two looks at jobs that are waited for.
_LOOK_S = 0.25


def _waited(rq: Redis, going: dict[str, int], done: Done, wait: Callable[[float], None]) -> int:
    """Wait a moment; take out those jobs that have ended, and give the texts of these."""
    from karl.jobs import queues  # noqa: PLC0415

    wait(_LOOK_S)
    texts = 0
    for name in list(going):
        status = queues.status(rq, name)
        if status in {"queued", "scheduled", "started"}:
            continue
        if status != "finished":
            done.failed.append(name)
        texts += going.pop(name)
    return texts


def _say(progress: Progress | None, finished: int, rq: Redis, going: dict[str, int], total: int) -> None:
    """Say how far all batches are, those that run counted as far as they are."""
    from karl.jobs import gate, queues  # noqa: PLC0415

    if progress:
        under_way = [gate.told(name, queues.read(rq, name)).meta.get("done", 0) for name in going]
        progress(finished + sum(one for one in under_way if isinstance(one, int)), total, "prompts")
