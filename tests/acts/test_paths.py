"""What kind of file a path names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from karl.acts.paths import ROLES, is_scratch_path, is_test_path, joined, role

ROWS = {
    "source": [
        "src/app.py", "/testbed/django/db/models/query.py", "django/test/client.py", "/code/x/y/pkg/testing/runner.py", "lib/a.rb", "main.go", "index.js", "src/main/java/a/B.java",
        "app/latest.py", "src/contest.ts", "src/notice.go", "history.py", "paper.tex", "pkg/testable.py", "solution.py", "a/b/attest.go", "/home/me/code/app/src/fix.py",
    ],
    "test": [
        "tests/test_a.py", "test/a.js", "pkg/tests/util.py", "src/test/java/a/BTest.java", "src/main/java/a/BTest.java", "pkg/a_test.go", "a.spec.ts", "src/a.test.tsx",
        "spec/models/user_spec.rb", "tests/data/x.json", "conftest.py", "pkg/test_a.py", "__tests__/a.js", "e2e/login.ts", "testing/test_x.py", "t/basic.t", "/testbed/tests/queries/tests.py",
    ],
    "scratch": [
        "reproduce.py", "reproduce_issue.py", "/tmp/a.py", "/var/tmp/x/a.py", "test_fix.py", "/testbed/test_fix.py", "debug_query.py", "fix.patch", "a.py.orig", "/testbed/reproduce.py", "verify_fix.py",
        "repro/app/models.py", "src/a.py.bak", "check_types.py", "run.log", "node_modules/a/index.js", "/usr/lib/python3/dist-packages/a.py", ".venv/lib/x.py", "/dev/shm/x",
    ],
    "docs": ["README.md", "docs/a.rst", "CHANGELOG", "docs/conf.py", "LICENSE-MIT", "NEWS.txt", "tests/README.md", "a/b.adoc"],
    "config": ["pyproject.toml", "setup.cfg", "package.json", ".github/workflows/ci.yml", "Makefile", "Dockerfile", "requirements-dev.txt", ".eslintrc", "setup.py", "pom.xml"],
}  # fmt: skip


@pytest.mark.parametrize(("kind", "path"), [(kind, path) for kind, paths in ROWS.items() for path in paths])
def test_a_path_has_its_role(kind, path):
    assert role(path) == kind


def test_the_folder_of_the_work_tells_what_stands_at_its_top():
    assert role("/home/me/app/test_fix.py", "/home/me/app") == "scratch"
    assert role("/home/me/app/pkg/test_fix.py", "/home/me/app") == "test"
    assert role("/home/me/.notes/x.py", "/home/me/app") == "scratch"
    assert role("/tmp/code/src/a.py", "/tmp/code") == "source"
    assert is_test_path("tests/a.py")
    assert is_scratch_path("repro.py")
    assert not is_scratch_path("src/a.py")


@pytest.mark.parametrize(
    ("folder", "path", "found"),
    [
        ("/a", "b.py", "/a/b.py"),
        ("/a", "./b.py", "/a/b.py"),
        ("/a/c", "../b.py", "/a/b.py"),
        ("/a", "/b/../c", "/c"),
        ("/a", "~/b", "~/b"),
        ("", "a//b/", "a/b"),
        ("", "./", "."),
        ("", "../a", "../a"),
        ("/", "..", "/"),
        ("/a", "file:///b/c", "/b/c"),
        ("/a", "C:\\b", "/c/b"),
        ("/a", "$HOME/b", "~/b"),
    ],
)
def test_a_path_is_put_into_one_spelling(folder, path, found):
    assert joined(folder, path) == found


@given(st.text(max_size=300), st.text(max_size=60))
def test_any_text_may_be_a_path(path, folder):
    whole = joined(folder, path)
    assert role(path, folder) in ROLES
    assert len(whole) <= 1100 + len(folder)
    assert joined("", whole) == whole or whole.startswith(("file:", " ")) or whole != whole.strip()
