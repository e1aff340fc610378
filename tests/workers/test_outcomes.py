"""A scan: what became of turns goes through the line to the ledger, once, and the views show it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from karl.errors import KarlError, LineDown, NotFound
from karl.outcomes.judge import DAY_S
from karl.reward.score import rescore_outcome
from karl.schema.trajectory import Outcome
from karl.settings import Settings, read_settings
from karl.stream.connect import connect
from karl.views.detail import detail
from karl.views.known import Known, Source
from karl.views.queries import TrajectoryRow, Views
from karl.views.rebuild import begin, compare
from tests.outcomes.repo import START_S, Repo
from tests.workers.conftest import Feed, Line
from workers.outcomes import CI, GIT, Request, ScanReport, scan

NEW = ["def login(user):", "    check_password(user)", "    return open_session(user)"]
NEVER = ["def never(kept):", "    return nothing_at_all(kept)"]
BASE = "import sessions\n"


class Scene:
    """A repository, and a line with two turns in its ledger: one whose work was committed, one whose was not."""

    def __init__(self, line: Line, feed: Callable[..., Feed], folder: Path) -> None:
        self.line = line
        self.views = line.folder.parent / "views" / "views.sqlite"
        self.repo = Repo(folder / "p")
        self.repo.commit(-DAY_S, "base", auth_py=BASE)
        for session, lines in (("s-kept", NEW), ("s-gone", NEVER)):
            one = feed(session)
            one.prompt(f"Write {session}")
            given = {"file_path": "/home/dev/p/auth.py", "old_string": "", "new_string": "\n".join(lines)}
            hunk = {
                "oldStart": 2,
                "oldLines": 0,
                "newStart": 2,
                "newLines": 3,
                "lines": [f"+{x}" for x in lines],
            }
            call = {"tool_name": "Edit", "tool_input": given, "tool_use_id": f"c-{session}"}
            one.event("PreToolUse", **call)
            one.event(
                "PostToolUse",
                **call,
                tool_response={"filePath": given["file_path"], "structuredPatch": [hunk]},
            )
            one.stop()
        feed("s-idle").turn(2)
        worker = line.sessions()
        line.drain(worker)
        worker.close()
        self.views.parent.mkdir(parents=True)
        begin(self.views, "1")
        self.catch_up()
        self.repo.commit(3600, auth_py=BASE + "\n".join(NEW) + "\n")

    def settings(self) -> Settings:
        return read_settings({"KARL_DATA_DIR": str(self.line.folder.parent)})

    def catch_up(self) -> None:
        self.line.catch_up(self.views, "1")

    def scan(
        self, *, now: float, apply: bool = True, ci: tuple[tuple[str | None, Path], ...] = ()
    ) -> ScanReport:
        report = scan(
            self.line.redis if apply else None,
            self.settings(),
            Request(self.repo.path, "p", None, 7, ci),
            wait=lambda _s: self.catch_up(),
            now_ms=lambda: int((START_S + now) * 1000),
        )
        self.catch_up()
        return report

    def row(self, session: str) -> TrajectoryRow:
        with Views(self.views) as views:
            return views.turns(session)[0]


@pytest.fixture
def scene(line: Line, feed: Callable[..., Feed], tmp_path: Path) -> Scene:
    return Scene(line, feed, tmp_path)


def test_without_apply_nothing_is_written_and_no_line_is_asked(scene: Scene) -> None:
    report = scene.scan(now=DAY_S, apply=False)
    assert (report.looked_at, report.changed_files, report.annotations) == (3, 2, 1)
    assert {turn.session: turn.said for turn in report.turns} == {
        "s-kept": {GIT: {"committed": True}},
        "s-gone": {},
    }
    assert scene.line.waiting() == 0
    assert scene.line.records("annotation") == []


def test_what_was_found_becomes_an_annotation_and_a_score_that_knows_it(scene: Scene) -> None:
    before = scene.row("s-kept")
    assert scene.scan(now=DAY_S).annotations == 1
    (record,) = scene.line.records("annotation")
    assert (record["trajectory"], record["detector"]) == (before.id, GIT)
    assert record["outcome"] == {"annotation_status": "observed", "committed": True}
    after = scene.row("s-kept")
    assert after.known == {**before.known, "committed": True}
    with Views(scene.views) as views:
        whole = detail(views, scene.line.folder, after.id)
    assert whole.score == rescore_outcome(whole.score, _known(whole.body.trajectory.outcome, after))
    assert compare(scene.views, scene.line.folder, "1").equal


def _known(outcome: Outcome, row: TrajectoryRow) -> Outcome:
    return msgspec.structs.replace(outcome, **row.known)


def test_a_scan_that_is_repeated_says_nothing_twice_and_later_says_what_is_new(scene: Scene) -> None:
    scene.scan(now=DAY_S)
    assert scene.scan(now=DAY_S).annotations == 0
    scene.repo.commit(30 * DAY_S, "other", other_py="print(1)\n")
    report = scene.scan(now=30 * DAY_S)
    assert report.annotations == 2
    assert scene.scan(now=30 * DAY_S).annotations == 0
    assert scene.row("s-kept").known == {"committed": True, "survived": True, "reverted": False}
    assert scene.row("s-gone").known == {"committed": False}
    assert scene.row("s-idle").known == {}
    by = [record["by"] for record in scene.line.records("annotation")]
    assert len(set(by)) == len(by) == 3


def test_a_scan_that_was_broken_off_before_the_views_followed_counts_once(scene: Scene) -> None:
    asked = Request(scene.repo.path, "p", None, 7)
    for _ in range(2):
        scan(
            scene.line.redis,
            scene.settings(),
            asked,
            wait=lambda _s: scene.catch_up(),
            now_ms=lambda: START_S * 1000 + DAY_S * 1000,
        )
    assert len(scene.line.records("annotation")) <= 2
    scene.catch_up()
    with Known(scene.views) as views:
        assert views.counts().annotations == 1


def test_a_test_run_is_told_by_a_detector_of_its_own(scene: Scene, tmp_path: Path) -> None:
    path = tmp_path / "junit.xml"
    path.write_text("<testsuite><testcase/></testsuite>")
    head = scene.repo.git("rev-parse", "HEAD")
    scene.scan(now=DAY_S, ci=((head, path),))
    assert scene.row("s-kept").known == {"committed": True, "ci_passed": True}
    assert [record["detector"] for record in scene.line.records("annotation")] == [GIT, CI]
    with Known(scene.views) as views:
        assert views.sources() == [Source(CI, "ci_passed", 1, 0), Source(GIT, "committed", 1, 0)]
        assert [row.session for row in views.with_outcome()] == ["s-kept"]
    with pytest.raises(KarlError, match="can not be read"):
        scene.scan(now=DAY_S, apply=False, ci=((None, tmp_path / "nowhere.xml"),))


def test_a_correction_that_comes_after_the_scan_keeps_what_was_found(
    scene: Scene, feed: Callable[..., Feed]
) -> None:
    scene.scan(now=DAY_S)
    worker = scene.line.sessions()
    again = feed("s-kept")
    again.sent = [
        again.event("Notification", message=str(n)) for n in range(4)
    ] * 2  # new names for new events
    again.turn(1, text="no, that is wrong, I meant the other one")
    scene.line.drain(worker)
    worker.close()
    scene.catch_up()
    row = scene.row("s-kept")
    assert row.known["correction_detected"] is True
    assert row.known["committed"] is True
    with Views(scene.views) as views:
        whole = detail(views, scene.line.folder, row.id)
    assert whole.score.reward == row.reward
    assert whole.score == rescore_outcome(whole.score, _known(whole.body.trajectory.outcome, row))
    assert compare(scene.views, scene.line.folder, "1").equal


def test_a_record_that_is_damaged_keeps_no_other_from_being_looked_up(scene: Scene) -> None:
    row = scene.row("s-gone")
    with (scene.line.folder / row.place.segment).open("r+b") as file:
        file.seek(row.place.offset + 200)
        file.write(b"~")
    report = scene.scan(now=DAY_S, apply=False)
    assert (report.looked_at, report.damaged, report.changed_files) == (3, 1, 1)


def test_errors_say_what_to_do(scene: Scene) -> None:
    with pytest.raises(NotFound, match="karl sessions"):
        scan(None, scene.settings(), Request(scene.repo.path, "another", None, 7))
    nowhere = connect("redis://127.0.0.1:1/0")
    with pytest.raises(LineDown, match="Redis"):
        scan(nowhere, scene.settings(), Request(scene.repo.path, "p", None, 7))
