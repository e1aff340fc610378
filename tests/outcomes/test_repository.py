"""A repository is read without trusting it, without writing to it, and with errors that say what to do."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from karl.outcomes.git import GitFailed
from karl.outcomes.history import Change, Commit, History, read_log, read_patches
from karl.outcomes.judge import DAY_S
from karl.outcomes.repository import NoRepository, Repository
from tests.outcomes.repo import START_S, Repo

FROM = START_S - 10 * DAY_S


def contents(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every file with its mode and bytes."""
    return {
        str(path.relative_to(folder)): (stat.S_IMODE(path.stat().st_mode), path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def read_all(path: Path) -> History:
    """Ask a repository everything that a scan asks."""
    with Repository(path) as repository:
        commits = list(read_log(repository.log(FROM)))
        history = History(commits, repository.first_parents(FROM))
        wanted = {commit.name: {change.path for change in commit.changes} for commit in commits}
        read_patches(repository.patches(wanted), wanted)
        for name in repository.paths():
            repository.file(repository.head, name)
    return history


def test_nothing_that_a_repository_names_is_run_and_nothing_in_it_changes(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "shop")
    repo.commit(0, "one", a_py="print('one line')\n", b_bin="x\n")
    (repo.path / ".gitattributes").write_text("* diff=evil filter=evil\n")
    repo.commit(10, "two", a_py="print('another line')\n")
    ran = tmp_path / "ran"
    trap = tmp_path / "trap.sh"
    trap.write_text(f"#!/bin/sh\ntouch '{ran}'\ncat\n")
    trap.chmod(0o755)
    for name in (
        "core.fsmonitor", "core.pager", "core.sshCommand", "core.editor", "core.askPass", "diff.external",
        "diff.evil.command", "diff.evil.textconv", "filter.evil.clean", "filter.evil.smudge", "filter.evil.process",
        "gpg.program", "credential.helper", "log.showSignature", "uploadpack.packObjectsHook",
    ):  # fmt: skip
        repo.git("config", name, "true" if name == "log.showSignature" else str(trap))
    repo.git("config", "core.hooksPath", str(tmp_path))
    for hook in ("post-index-change", "reference-transaction", "post-checkout"):
        (tmp_path / hook).write_bytes(trap.read_bytes())
        (tmp_path / hook).chmod(0o755)
    (repo.path / ".git" / "info").mkdir(exist_ok=True)
    (repo.path / ".git" / "info" / "attributes").write_text("* diff=evil filter=evil\n")
    ran.unlink(missing_ok=True)
    before = contents(repo.path)
    history = read_all(repo.path)
    assert len(history.main) == 2
    assert not ran.exists()
    assert contents(repo.path) == before
    repo.git("blame", "HEAD", "--", "a.py")
    assert ran.exists()  # so the trap is one


def test_what_is_set_for_git_outside_does_not_reach_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo, other = Repo(tmp_path / "shop"), Repo(tmp_path / "other")
    name = repo.commit(0, "one", a_py="print('one line')\n")
    other.commit(0, "elsewhere", b_py="print('another line')\n")
    monkeypatch.setenv("GIT_DIR", str(other.path / ".git"))
    monkeypatch.setenv("GIT_OBJECT_DIRECTORY", str(other.path / ".git" / "objects"))
    monkeypatch.setenv("GIT_EXTERNAL_DIFF", "false")
    assert [commit.name for commit in read_all(repo.path).main] == [name]


def test_the_folder_that_was_made_to_read_it_is_gone_afterwards(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "shop")
    repo.commit(0, "one", a_py="print('one line')\n")
    with Repository(repo.path) as repository:
        folder = repository._folder
        assert folder.is_dir()
    assert not folder.exists()


def test_a_folder_without_a_repository_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NoRepository, match="is no git repository"):
        Repository(tmp_path)
    with pytest.raises(NoRepository, match="is no folder"):
        Repository(tmp_path / "nowhere")


def test_a_repository_without_a_commit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NoRepository, match="no commit yet"):
        Repository(Repo(tmp_path / "shop").path)


def test_a_shallow_clone_is_refused_with_what_to_do(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "shop")
    repo.commit(0, "one", a_py="print('one line')\n")
    repo.commit(10, "two", a_py="print('another line')\n")
    repo.git("clone", "--quiet", "--depth=1", f"file://{repo.path}", str(tmp_path / "clone"))
    with pytest.raises(NoRepository, match="git fetch --unshallow"):
        Repository(tmp_path / "clone")


def test_objects_that_are_missing_are_an_error(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "shop")
    repo.commit(0, "one", a_py="print('one line')\n")
    blob = repo.git("rev-parse", "HEAD:a.py")
    (repo.path / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    with pytest.raises(GitFailed, match="partial clone"):
        read_all(repo.path)


def test_without_git_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(GitFailed, match="install git"):
        Repository(tmp_path)


def test_bare_repositories_subfolders_and_work_trees_are_read(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "shop")
    name = repo.commit(0, "one", src__a_py="print('one line')\n")
    repo.git("clone", "--quiet", "--bare", str(repo.path), str(tmp_path / "shop.git"))
    repo.git("worktree", "add", "--quiet", str(tmp_path / "tree"))
    for path in (repo.path / "src", tmp_path / "shop.git", tmp_path / "tree"):
        with Repository(path) as repository:
            assert repository.head == name
            found = repository.file(name, "src/a.py")
            assert found is not None
            assert found.text == "print('one line')\n"
            assert repository.file(name, "src") is None
            assert repository.file(name, "src/b.py") is None
    with Repository(repo.path / "src") as repository:
        assert repository.path == repo.path


def test_names_and_messages_with_anything_in_them_are_read_as_they_are(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "shop")
    odd = ':100644 "two\nlines" ä\x01\t.py'
    (repo.path / odd).write_text("print('one line')\n")
    first = repo.commit(0, "\x01deadbeef 1 1\n\n:100644 100644 a b M\nThis reverts commit 1234567.")
    (repo.path / odd).unlink()
    repo.commit(10, "gone")
    history = read_all(repo.path)
    commit = history.commits[first]
    assert [change.path for change in commit.changes] == [odd]
    assert (commit.parents, commit.reverts) == ((), ("1234567",))


def test_a_line_that_looks_like_a_patch_is_content(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "shop")
    text = "first line\n++ b/other.py\n@@ -1 +1 @@\n-- a/other.py\n" + "0" * 40 + "\n"
    name = repo.commit(0, "one", a_txt=text)
    (repo.path / "a_txt").write_text("")
    last = repo.commit(1, "empty")
    wanted = {one: {"a_txt", "other.py"} for one in (name, last)}
    with Repository(repo.path) as repository:
        added = read_patches(repository.patches(wanted), wanted)
    assert set(added) == {name}
    assert added[name]["a_txt"].keys() == {"first line", "++ b/other.py", "-- a/other.py", "0" * 40}


def test_a_rename_keeps_both_names(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "shop")
    repo.commit(0, "one", a_py="print('one line')\n")
    repo.git("mv", "a.py", "b.py")
    name = repo.commit(5, "move")
    change = read_all(repo.path).commits[name].changes[0]
    assert isinstance(change, Change)
    assert (change.path, change.was, change.before) == ("b.py", "a.py", change.after)


def test_a_history_of_nothing_but_reverts_has_an_end() -> None:
    names = [f"{number:040x}" for number in range(3000)]
    touched = (Change("a.py", "a.py", "1", "2"),)
    commits = [
        Commit(name, at, at, tuple(names[at - 1 : at]), tuple(names[at - 1 : at]), (), touched)
        for at, name in enumerate(names)
    ]
    history = History(commits[::-1], names[::-1])
    assert history.is_reverted(names[-2])
    assert not history.is_reverted(names[-3])
    assert isinstance(history.is_reverted(names[0]), bool)
