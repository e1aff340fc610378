"""The ledger is told of an export, once, and the export stays what it was."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from karl.learning.manifests import id_of
from karl.views.lineage import Lineage
from tests.centroids.conftest import Scene
from tests.cli.running import karl
from tests.export.sessions import TOPICS
from tests.workers.conftest import Line, line
from workers.datasets import check

__all__ = ["line"]


@pytest.fixture
def scene(line: Line, redis_url: str) -> Iterator[Scene]:
    """A line with twelve sessions that ask different things."""
    made = Scene(line, redis_url)
    for at, topic in enumerate(TOPICS[:12]):
        made.turn(f"s{at:02}", topic, None)
    made.settle()
    yield made
    made.close()


def export(scene: Scene, to: Path, *more: str) -> str:
    with scene.moving():
        result = karl(
            scene.data_dir, "export", "--format", "chatml", "--output", str(to), *more,
            KARL_REDIS_URL=scene.redis_url, KARL_NODE="n1",
        )  # fmt: skip
    assert result.exit_code == 0, result.output + repr(result.exception)
    scene.settle()
    return result.output


def test_an_export_is_recorded_once_and_its_record_does_not_change_the_next(
    scene: Scene, tmp_path: Path
) -> None:
    export(scene, tmp_path / "one")
    said = export(scene, tmp_path / "one")
    assert "there already" in said
    export(scene, tmp_path / "two")
    manifest = check(tmp_path / "two")
    with Lineage(scene.settings.views) as lineage:
        (row,) = lineage.exports()
        assert row.id == id_of(manifest)
        assert row.train_rows == manifest.files["train.jsonl"].rows
    assert manifest == check(tmp_path / "one")
    export(scene, tmp_path / "other", "--seed", "2")
    with Lineage(scene.settings.views) as lineage:
        assert len(lineage.exports()) == 2


def test_a_dry_run_and_no_record_tell_the_ledger_nothing(scene: Scene, tmp_path: Path) -> None:
    export(scene, tmp_path / "dry", "--dry-run")
    export(scene, tmp_path / "silent", "--no-record")
    with Lineage(scene.settings.views) as lineage:
        assert lineage.exports() == []
    assert [path.name for path in tmp_path.iterdir() if path.name in ("dry", "silent")] == ["silent"]
