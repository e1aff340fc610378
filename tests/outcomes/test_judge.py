"""What became of a turn's work, in real repositories: held, committed, survived, reverted."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from karl.outcomes.judge import DAY_S, HELD_DAYS, Finding
from karl.outcomes.work import Work
from tests.outcomes.repo import START_S, WHERE, Repo, committed, found, work, wrote
from tests.session.making import Script

NEW = ["def login(user):", "    check_password(user)", "    return open_session(user)"]
BASE = "import sessions\n\n\ndef logout(user):\n    sessions.drop(user)\n"
TEXT = BASE + "\n".join(NEW) + "\n"
LATER = 40 * DAY_S


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    made = Repo(tmp_path / "shop")
    made.commit(-DAY_S, "base", auth_py=BASE)
    return made


@pytest.fixture
def turn() -> Work:
    script = Script()
    script.prompt("Add a login")
    wrote(script, f"{WHERE}/auth.py", NEW)
    script.stop()
    return work(script)


def seen(finding: Finding | None) -> tuple[bool | None, bool | None, bool | None]:
    assert finding is not None
    return finding.committed, finding.survived, finding.reverted


def test_lines_in_a_later_commit_are_committed_and_when_they_stay_they_survived(
    repo: Repo, turn: Work
) -> None:
    name = repo.commit(3600, auth_py=TEXT)
    repo.commit(LATER, "other", other_py="print(1)\n")
    finding = found(repo, turn)
    assert seen(finding) == (True, True, False)
    assert finding is not None
    assert (finding.lines, finding.held, finding.left, finding.commits) == (3, 3, 3, [name])


def test_before_the_days_are_over_nothing_is_said_of_what_lasts(repo: Repo, turn: Work) -> None:
    repo.commit(3600, auth_py=TEXT)
    repo.commit(2 * DAY_S, "other", other_py="print(1)\n")
    assert seen(found(repo, turn)) == (True, None, None)


def test_a_clone_says_nothing_of_days_before_somebody_fetched_again(repo: Repo, turn: Work) -> None:
    repo.commit(3600, auth_py=TEXT)
    assert seen(found(repo, turn)) == (True, None, None)
    fetched = repo.path / ".git" / "FETCH_HEAD"
    fetched.touch()
    os.utime(fetched, (START_S + LATER, START_S + LATER))
    assert seen(found(repo, turn)) == (True, True, False)


def test_the_folder_in_which_the_turn_worked_is_known_up_to_now(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "shop")
    repo.commit(-DAY_S, "base", auth_py=BASE)
    script = Script()
    script.prompt("Add a login", cwd=str(repo.path))
    wrote(script, str(repo.path / "auth.py"), NEW)
    script.stop()
    repo.commit(3600, auth_py=TEXT)
    assert seen(found(repo, work(script))) == (True, True, False)
    assert seen(found(repo, work(script), node="another")) == (True, None, None)


def test_what_no_commit_holds_is_not_committed_once_the_time_has_passed(repo: Repo, turn: Work) -> None:
    repo.commit(HELD_DAYS * DAY_S - 3600, "other", other_py="print(1)\n")
    assert seen(found(repo, turn)) == (None, None, None)
    repo.commit(LATER, "other", other_py="print(2)\n")
    assert seen(found(repo, turn)) == (False, None, None)


def test_lines_that_somebody_rewrote_did_not_survive(repo: Repo, turn: Work) -> None:
    repo.commit(3600, auth_py=TEXT)
    repo.commit(DAY_S, "rewrite", auth_py=BASE + "def login(person):\n    raise_it_all_again(person)\n")
    repo.commit(LATER, "other", other_py="print(1)\n")
    assert seen(found(repo, turn)) == (True, False, False)


def test_a_revert_that_names_the_commit_reverts_it_at_once(repo: Repo, turn: Work) -> None:
    repo.commit(3600, auth_py=TEXT)
    repo.git("revert", "--no-edit", "HEAD", at=7200)
    assert seen(found(repo, turn)) == (True, None, True)
    repo.commit(LATER, "other", other_py="print(1)\n")
    assert seen(found(repo, turn)) == (True, False, True)


def test_a_revert_that_was_reverted_is_none(repo: Repo, turn: Work) -> None:
    repo.commit(3600, auth_py=TEXT)
    repo.git("revert", "--no-edit", "HEAD", at=7200)
    repo.git("revert", "--no-edit", "HEAD", at=9000)
    repo.commit(LATER, "other", other_py="print(1)\n")
    finding = found(repo, turn)
    assert finding is not None
    assert finding.reverted is False


def test_a_message_that_only_says_so_reverts_nothing(repo: Repo, turn: Work) -> None:
    name = repo.commit(3600, auth_py=TEXT)
    repo.commit(LATER, f"This reverts commit {name}.", other_py="print(1)\n")
    assert seen(found(repo, turn)) == (True, True, False)


def test_a_file_that_got_its_former_content_back_was_reverted_without_a_word(repo: Repo, turn: Work) -> None:
    repo.commit(3600, auth_py=TEXT)
    repo.commit(DAY_S, "tidy", auth_py=BASE)
    assert seen(found(repo, turn)) == (True, None, True)


def test_a_file_that_was_made_and_taken_away_again_was_reverted(repo: Repo) -> None:
    script = Script()
    script.prompt("Add a login")
    given = {"file_path": f"{WHERE}/login.py", "content": "\n".join(NEW)}
    script.pre("c1", "Write", given)
    script.post("c1", "Write", {"type": "create", "filePath": f"{WHERE}/login.py"}, given)
    script.stop()
    repo.commit(3600, login_py="\n".join(NEW) + "\n")
    (repo.path / "login.py").unlink()
    repo.commit(DAY_S, "not needed")
    repo.commit(LATER, "other", other_py="print(1)\n")
    assert seen(found(repo, work(script))) == (True, False, True)


def test_a_file_that_was_moved_is_followed(repo: Repo, turn: Work) -> None:
    repo.commit(3600, auth_py=TEXT)
    (repo.path / "accounts").mkdir()
    repo.git("mv", "auth.py", "accounts/auth.py")
    repo.commit(DAY_S, "move")
    repo.commit(LATER, "other", other_py="print(1)\n")
    assert seen(found(repo, turn)) == (True, True, False)


def test_what_was_indented_anew_is_still_there(repo: Repo, turn: Work) -> None:
    repo.commit(3600, auth_py=TEXT)
    repo.commit(DAY_S, "indent", auth_py=BASE + "".join(f"    {line}\n" for line in NEW))
    repo.commit(LATER, "other", other_py="print(1)\n")
    assert seen(found(repo, turn)) == (True, True, False)


def test_a_squashed_branch_holds_the_work_and_a_merge_brings_it_to_head(repo: Repo, turn: Work) -> None:
    repo.git("switch", "--quiet", "-c", "topic")
    name = repo.commit(3600, auth_py=TEXT)
    repo.git("switch", "--quiet", "main")
    finding = found(repo, turn)
    assert finding is not None
    assert (finding.committed, finding.landed, finding.commits) == (True, None, [name])
    repo.git("merge", "--quiet", "--no-ff", "-m", "merge", "topic", at=3 * DAY_S)
    repo.commit(5 * DAY_S, "other", other_py="print(1)\n")
    assert seen(found(repo, turn)) == (True, None, None)  # it came to HEAD three days after it was made
    repo.commit(LATER, "other", other_py="print(2)\n")
    assert seen(found(repo, turn)) == (True, True, False)


def test_a_commit_that_git_told_the_turn_is_its_own_also_where_people_changed_half_of_it(repo: Repo) -> None:
    name = repo.commit(5, auth_py=BASE + "def login(user):\n    something_quite_else(user)\n")
    script = Script()
    script.prompt("Add a login")
    wrote(script, f"{WHERE}/auth.py", NEW)
    committed(script, name[:7])
    script.stop()
    finding = found(repo, work(script))
    assert finding is not None
    assert (finding.committed, finding.held, finding.commits) == (True, 1, [name])


def test_a_commit_of_other_files_is_no_commit_of_the_work(repo: Repo) -> None:
    name = repo.commit(5, "other", other_py="print(1)\n")
    repo.commit(LATER, "more", other_py="print(2)\n")
    script = Script()
    script.prompt("Add a login")
    wrote(script, f"{WHERE}/auth.py", NEW)
    committed(script, name[:7])
    script.stop()
    assert seen(found(repo, work(script))) == (False, None, None)


def test_an_edit_of_which_nobody_told_the_text_counts_by_a_co_author_of_that_time(repo: Repo) -> None:
    script = Script()
    script.prompt("Add a login")
    given = {"command": "sed -i s/drop/forget/ auth.py"}
    script.pre("c1", "Edit", {"file_path": f"{WHERE}/auth.py"})
    script.post("c1", "Edit", {}, {"file_path": f"{WHERE}/auth.py"})
    script.pre("c2", "Bash", given)
    script.post("c2", "Bash", {"stdout": "", "stderr": "", "interrupted": False}, given)
    script.stop()
    repo.commit(
        4, "work\n\nCo-authored-by: Claude <noreply@example.com>", auth_py=BASE.replace("drop", "forget")
    )
    repo.commit(LATER, "other", other_py="print(1)\n")
    assert seen(found(repo, work(script))) == (True, True, False)


def test_files_elsewhere_are_none_of_the_repository(repo: Repo) -> None:
    script = Script()
    script.prompt("Note it")
    wrote(script, "/home/me/notes/README.md", NEW)
    script.stop()
    assert found(repo, work(script)) is None


def test_the_same_lines_before_the_turn_are_not_its_commit(repo: Repo, turn: Work) -> None:
    repo.commit(-3600, auth_py=TEXT)
    repo.commit(LATER, "other", other_py="print(1)\n")
    assert seen(found(repo, turn)) == (False, None, None)


def test_what_the_turn_itself_took_out_again_is_not_missed(repo: Repo) -> None:
    script = Script()
    script.prompt("Add a login")
    wrote(script, f"{WHERE}/auth.py", ["print('here', user)", *NEW], call="c1")
    wrote(script, f"{WHERE}/auth.py", [], call="c2", old=["print('here', user)"])
    script.stop()
    repo.commit(3600, auth_py=TEXT)
    finding = found(repo, work(script))
    assert finding is not None
    assert (finding.lines, finding.held) == (3, 3)


def test_a_file_written_as_a_whole_is_judged_by_what_is_new_in_it(repo: Repo) -> None:
    script = Script()
    script.prompt("Add a login")
    given = {"file_path": f"{WHERE}/auth.py", "content": TEXT}
    script.pre("c1", "Write", given)
    script.post("c1", "Write", {"filePath": f"{WHERE}/auth.py"}, given)
    script.stop()
    repo.commit(3600, auth_py=TEXT)
    finding = found(repo, work(script))
    assert finding is not None
    assert (finding.lines, finding.held, finding.committed) == (3, 3, True)


def test_a_work_tree_beside_the_clone_is_the_same_repository(repo: Repo) -> None:
    script = Script()
    script.prompt("Add a login", cwd="/w/trees/topic")
    wrote(script, "/w/trees/topic/auth.py", NEW)
    script.stop()
    repo.commit(3600, auth_py=TEXT)
    assert seen(found(repo, work(script)))[0] is True
