"""Parcels in Redis: whole or refused, bounded, and gone when their time is over."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis

from karl.errors import NotFound, Refused, Unreadable
from karl.stream import parcels
from karl.stream.keys import parcel_key


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
@given(st.binary(max_size=3000))
def test_what_is_put_in_comes_out_whatever_it_is(redis: Redis, data: bytes) -> None:
    name = parcels.put(redis, data, ttl_s=60)
    assert (parcels.get(redis, name), name) == (data, parcels.name_of(data))


@pytest.mark.parametrize(
    "size", [0, 1, parcels.PIECE - 1, parcels.PIECE, parcels.PIECE + 1, 5 * parcels.PIECE + 7]
)
def test_no_command_carries_more_than_a_piece(redis: Redis, size: int) -> None:
    data = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    assert parcels.get(redis, parcels.put(redis, data, ttl_s=60)) == data


def test_one_that_is_too_large_is_refused_on_either_side(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = parcels.put(redis, b"x" * 2000, ttl_s=60)
    monkeypatch.setattr(parcels, "LARGEST", 1000)
    with pytest.raises(Refused, match="too many for one parcel"):
        parcels.put(redis, b"x" * 1001, ttl_s=60)
    with pytest.raises(Unreadable, match="more than any"):
        parcels.get(redis, name)


def test_other_bytes_than_were_put_in_are_never_given_out(redis: Redis) -> None:
    name = parcels.put(redis, b"what it is", ttl_s=60)
    for harm in (b"what it is not", b"What it is", b"what it"):
        redis.set(parcel_key(name), harm)
        with pytest.raises(Unreadable, match="other bytes"):
            parcels.get(redis, name)
    parcels.put(redis, b"what it is", ttl_s=60)  # put in again, it is whole again
    assert parcels.get(redis, name) == b"what it is"


@pytest.mark.parametrize("name", ["", "x", "0" * 63, "G" * 64, "../" * 22, "0" * 64])
def test_what_names_none_or_none_that_is_there_is_not_found(redis: Redis, name: str) -> None:
    with pytest.raises(NotFound):
        parcels.get(redis, name)


def test_a_parcel_expires_and_is_never_made_to_expire_sooner_by_putting_it_in_again(redis: Redis) -> None:
    name = parcels.put(redis, b"a", ttl_s=60)
    assert 0 < redis.ttl(parcel_key(name)) <= 60
    parcels.put(redis, b"a", ttl_s=600)
    parcels.put(redis, b"a", ttl_s=60)
    assert 60 < redis.ttl(parcel_key(name)) <= 600
    parcels.put(redis, b"a", ttl_s=None)
    parcels.put(redis, b"a", ttl_s=60)
    assert redis.ttl(parcel_key(name)) == -1
    parcels.let_go(redis, name, 60)
    assert 0 < redis.ttl(parcel_key(name)) <= 60
    parcels.let_go(redis, name, 0)
    assert not parcels.is_there(redis, name)
