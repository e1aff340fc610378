"""What an erasure must tell of: data sets that have rows of a session, and adapters that learned from it."""

from __future__ import annotations

from pathlib import Path

import msgspec

from karl.learning import manifests
from tests.adapters.scene import TRAIN, VALID, Scene
from workers.learned_from import LearnedFrom, learned_from


def test_data_sets_and_adapters_of_a_session_are_found_and_others_are_not(scene: Scene) -> None:
    scene.sessions(*TRAIN, *VALID)
    export = scene.export()
    adapter = scene.training(export.id).adapter
    folders = [scene.settings.exports / "one", scene.settings.runs / "run" / "data"]
    for folder in folders:
        write(folder, manifests.as_bytes(export.manifest))
    other = msgspec.structs.replace(export.manifest, sessions={"train": ("0" * 16,)})
    write(scene.settings.exports / "other", manifests.as_bytes(other))
    write(scene.settings.exports / "broken", b"{}")
    wanted = LearnedFrom(sorted(map(str, folders)), [adapter])
    assert learned_from(scene.settings, [TRAIN[0]]) == wanted
    assert learned_from(scene.settings, [VALID[0], "nobody"]) == wanted
    assert learned_from(scene.settings, ["nobody"]) == LearnedFrom([], [])


def write(folder: Path, manifest: bytes) -> None:
    folder.mkdir(parents=True)
    (folder / manifests.NAME).write_bytes(manifest)
