"""What was erased does not come back with a router."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from karl.errors import NotFound, Refused
from karl.routing.router import Exemplar, hash_of
from karl.stream import keys, routing
from tests.centroids.conftest import PROMPTS, Scene, files
from tests.workers.test_erasure import Moving
from workers import routers
from workers.records import ROUTING, Outgoing, send
from workers.refine import contrast
from workers.rollback import rollback
from workers.versions import versions


@pytest.fixture
def moving(trained: Scene, monkeypatch: pytest.MonkeyPatch) -> Iterator[Moving]:
    monkeypatch.setattr("workers.views.WAIT_MIN_S", 0.0)
    monkeypatch.setattr("workers.views.WAIT_MAX_S", 0.0)
    trained.close()
    made = Moving(trained.line, trained.settings)
    made.line.ledger._block_ms = 1
    yield made
    made.sessions.close()
    made.views.close()


def test_a_version_whose_prompts_were_erased_says_so_and_is_not_made_again(
    trained: Scene, moving: Moving
) -> None:
    first = trained.in_use
    moving.eraser("s-deploy-3").run()
    (only,) = versions(trained.settings)
    assert only.gone == 1
    (path,) = files(trained.settings)
    with pytest.raises(Refused, match="erased"):
        rollback(trained.doors(), first, person="a")
    path.unlink()
    trained.redis.delete(keys.parcel_key(first))
    with pytest.raises(Refused, match="erased"):
        rollback(trained.doors(), first, person="a", force=True)


def test_a_refresh_is_due_at_once_and_the_old_file_goes(trained: Scene, moving: Moving) -> None:
    first = trained.in_use
    moving.eraser("s-deploy-3").run()
    report = trained.train(why="refresh")
    assert (report.due, report.used, trained.in_use) == (True, True, report.router)
    assert report.router != first
    assert [path.name for path in files(trained.settings)] == [report.router]
    with pytest.raises(NotFound):
        routing.router_bytes(trained.redis, first)
    erased = hash_of(Exemplar("deploy", PROMPTS["deploy"][3]))
    assert erased not in routers.load(trained.settings, None, report.router).exemplars
    assert not trained.train(why="refresh").due


def test_a_prompt_marked_as_contrast_goes_with_its_session(trained: Scene, moving: Moving) -> None:
    (piece,) = [one for one in trained.material().chosen().pieces if one.text == PROMPTS["deploy"][3]]
    body = contrast(piece, "invoice", person="a", now_ms=trained.now_ms)
    send(trained.redis, [Outgoing("exemplar", ROUTING, body)], trained.move)
    trained.move()
    assert PROMPTS["deploy"][3] in [one.text for one in trained.material().chosen().pieces]
    moving.eraser("s-deploy-3").run()
    assert PROMPTS["deploy"][3] not in [one.text for one in trained.material().chosen().pieces]
    assert PROMPTS["deploy"][3].encode() not in b"".join(
        path.read_bytes() for path in trained.data_dir.rglob("*") if path.is_file()
    )
