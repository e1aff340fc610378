"""Bundles: several files through Redis, whole or not at all, whatever lies there instead."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis

from karl.errors import NotFound, Refused, Unreadable
from karl.stream import bundles, parcels
from karl.stream.bundles import Held, Index
from karl.stream.keys import parcel_key

NAMES = st.from_regex(r"[a-z0-9_][a-z0-9._-]{0,8}(/[a-z0-9_][a-z0-9._-]{0,8}){0,2}", fullmatch=True)


def written(folder: Path, files: dict[str, bytes]) -> dict[str, Path]:
    made = {}
    for number, (name, data) in enumerate(files.items()):
        made[name] = folder / str(number)
        made[name].write_bytes(data)
    return made


def held(name: str, data: bytes = b"x", **changed: Any) -> Held:
    digest = hashlib.sha256(data).hexdigest()
    return msgspec.structs.replace(Held(name, len(data), digest, (digest,) if data else ()), **changed)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(
    files=st.dictionaries(NAMES, st.binary(max_size=200), min_size=1, max_size=5), chunk=st.integers(1, 64)
)
def test_what_goes_in_comes_out_file_by_file_or_is_refused_at_once(
    redis: Redis, monkeypatch: pytest.MonkeyPatch, files: dict[str, bytes], chunk: int
) -> None:
    monkeypatch.setattr(bundles, "CHUNK", chunk)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            digest = bundles.put(redis, written(folder, files), 60)
        except Refused:
            folders = {str(above) for one in files for above in Path(one).parents}
            assert folders & set(
                files
            )  # the one thing that names of this kind can not be: a file and a folder
            return
        index = bundles.get(redis, digest, folder / "out")
        found = {
            str(path.relative_to(folder / "out")): path.read_bytes()
            for path in (folder / "out").rglob("*")
            if path.is_file()
        }
        assert found == files
        assert bundles.read(bundles.pack(index)) == index
        assert bundles.get(redis, digest, folder / "out") == index  # it is there: checked, and left alone
        assert [path.name for path in folder.iterdir() if path.name.endswith(".part")] == []


@pytest.mark.parametrize(
    "files",
    [
        [held("../x")],
        [held("/x")],
        [held("a/../../x")],
        [held("a//x")],
        [held(".hidden")],
        [held("a\\..\\x")],
        [held("a\nb")],
        [held("x" * 101)],
        [held("a"), held("A")],
        [held("a"), held("a/b")],
        [held("a", size=10**15)],
        [held("a", size=-1)],
        [held("a", size=bundles.CHUNK + 1)],
        [held("a", pieces=("../../x",))],
        [held("a", sha256="0")],
        [held(f"f{n}", b"", size=0) for n in range(bundles.FILES_MAX + 1)],
        [],
    ],
)
def test_an_index_that_could_do_harm_is_refused_and_nothing_is_written(
    redis: Redis, tmp_path: Path, files: list[Held]
) -> None:
    parcels.put(redis, b"x", ttl_s=60)
    digest = parcels.put(redis, bundles.pack(Index(bundles.FORM, tuple(files))), ttl_s=60)
    with pytest.raises(Unreadable):
        bundles.get(redis, digest, tmp_path / "in" / "out")
    assert list(tmp_path.iterdir()) == []


@given(data=st.binary(max_size=300))
def test_other_bytes_than_an_index_are_unreadable_and_no_error_of_ours(data: bytes) -> None:
    with pytest.raises(Unreadable):
        bundles.read(data)


@pytest.fixture
def bundle(redis: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, Index]:
    """Two files of three and two pieces."""
    monkeypatch.setattr(bundles, "CHUNK", 100)
    digest = bundles.put(redis, written(tmp_path, {"a.bin": bytes(range(250)), "d/b.bin": b"b" * 150}), 60)
    return digest, bundles.index_of(redis, digest)


def test_a_piece_with_other_bytes_is_found_and_nothing_appears(
    redis: Redis, tmp_path: Path, bundle: tuple[str, Index]
) -> None:
    digest, index = bundle
    redis.set(parcel_key(index.files[1].pieces[1]), b"c" * 50)
    with pytest.raises(Unreadable, match="other bytes"):
        bundles.get(redis, digest, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_index_that_lies_about_a_file_made_of_true_pieces_is_found(
    redis: Redis, tmp_path: Path, bundle: tuple[str, Index]
) -> None:
    first, second = bundle[1].files
    lies = Index(bundles.FORM, (msgspec.structs.replace(first, sha256=second.sha256), second))
    with pytest.raises(Unreadable, match="not what its index says"):
        bundles.get(redis, parcels.put(redis, bundles.pack(lies), ttl_s=60), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_was_fetched_before_it_was_broken_off_is_not_fetched_again(
    redis: Redis, tmp_path: Path, bundle: tuple[str, Index], monkeypatch: pytest.MonkeyPatch
) -> None:
    digest, index = bundle
    missing = index.files[1].pieces[1]
    kept = parcels.get(redis, missing)
    parcels.let_go(redis, missing, 0)
    with pytest.raises(NotFound):
        bundles.get(redis, digest, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    parcels.put(redis, kept, ttl_s=60)
    asked: list[str] = []
    get = parcels.get
    monkeypatch.setattr(parcels, "get", lambda client, name: (asked.append(name), get(client, name))[1])
    bundles.get(redis, digest, tmp_path / "out")
    assert asked == [digest, missing]
    assert bundles.holds(tmp_path / "out", index)


def test_a_folder_that_has_other_files_is_never_written_into(
    redis: Redis, tmp_path: Path, bundle: tuple[str, Index]
) -> None:
    bundles.get(redis, bundle[0], tmp_path / "out")
    (tmp_path / "out" / "a.bin").write_bytes(b"mine")
    with pytest.raises(Refused, match="other files"):
        bundles.get(redis, bundle[0], tmp_path / "out")
    assert (tmp_path / "out" / "a.bin").read_bytes() == b"mine"


def test_every_parcel_of_a_bundle_expires_and_is_kept_longer_when_asked(
    redis: Redis, bundle: tuple[str, Index]
) -> None:
    digest, index = bundle
    names = [digest, *(piece for one in index.files for piece in one.pieces)]
    assert all(0 < redis.ttl(parcel_key(name)) <= 60 for name in names)
    assert bundles.refresh(redis, digest, 600)
    assert all(60 < redis.ttl(parcel_key(name)) <= 600 for name in names)
    assert bundles.refresh(redis, digest, 60)
    assert all(redis.ttl(parcel_key(name)) > 60 for name in names)
    parcels.let_go(redis, names[1], 0)
    assert not bundles.refresh(redis, digest, 60)
    bundles.drop(redis, digest)
    assert not any(redis.exists(parcel_key(name)) for name in names)
    assert not bundles.refresh(redis, digest, 60)


def test_what_two_bundles_have_in_common_stays_when_one_is_dropped(redis: Redis, tmp_path: Path) -> None:
    old = bundles.put(redis, written(tmp_path, {"weights": b"same", "state": b"old"}), 60)
    new = bundles.put(redis, written(tmp_path, {"best": b"same", "state": b"new"}), 60)
    bundles.drop(redis, old, but=new)
    bundles.get(redis, new, tmp_path / "out")
    with pytest.raises(NotFound):
        bundles.get(redis, old, tmp_path / "old")


def test_what_another_bundle_has_for_longer_stays_when_one_is_dropped_whoever_put_it_in_last(
    redis: Redis, tmp_path: Path
) -> None:
    adapter = bundles.put(redis, written(tmp_path, {"adapter": b"same"}), 600)
    checkpoint = bundles.put(redis, written(tmp_path, {"weights": b"same", "state": b"at 60"}), 60)
    bundles.drop(redis, checkpoint, ttl_s=60)
    with pytest.raises(NotFound):
        bundles.get(redis, checkpoint, tmp_path / "checkpoint")
    assert bundles.get(redis, adapter, tmp_path / "out").size == 4
