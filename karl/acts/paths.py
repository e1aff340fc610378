"""Paths as acts name them: put into one spelling, and what kind of file one is.

Pure: no file is looked at. Folders are told by `/` alone; a path may be anything that a text can be.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import get_args

from karl.schema.act import Role

#: Characters of a path that are kept: longer ones are no paths that anybody edits.
PATH_MAX = 1000
_PARTS_MAX = 100

ROLES: tuple[Role, ...] = get_args(Role)

_TEST_FOLDERS = frozenset(
    {
        "test", "tests", "testing", "__tests__", "spec", "specs", "testdata", "test_data", "fixtures", "e2e",
        "__mocks__", "__snapshots__", "cypress", "unittests", "unit_tests", "integration_tests", "testsuite",
        "androidtest", "commontest", "jvmtest", "integrationtest", "functionaltest", "t",
    }
)  # fmt: skip
#: By the whole name, for files of any folder; `test_x` in no test folder may still be a scratch file.
_TEST_NAME = re.compile(
    r"(?:conftest|tests?)\.py$|test_.+\.(?:py|pyi|rb|c|cc|cpp|lua)$"
    r"|.+[._-](?:test|tests|spec|specs|e2e|cy)\.[a-z]{1,4}x?$|.+_test(?:s|_lib|_util)?\.\w{1,5}$"
)
_TEST_CLASS = re.compile(
    r"(?:Test[A-Z]\w*|\w*[a-z0-9](?:Tests?|TestCase|Spec|Suite|IT))\.(?:java|kts?|scala|groovy|cs|swift|php|m)$"
)
_SCRATCH_FOLDERS = frozenset({"tmp", "temp", "scratch", "scratchpad", "reproduction", "repro", "sandbox"})
#: Programs that agents write for themselves: to see the fault, to try the mend, to make it.
_SCRATCH_NAME = re.compile(
    r"(?:repro(?:duce|duction|ducer|_?\w*)?|debug|verify|verification|scratch|try|tmp|temp|demo|poc|example_usage"
    r"|check|inspect|investigate|explore|analy[sz]e|probe|fix|patch|apply|update|modify|edit|run|simple|quick"
    r"|minimal|manual|my|final|comprehensive|edge_cases?|solution)"
    r"(?:[_-]\w*|\d*)?\.(?:py|js|mjs|cjs|ts|sh|rb|pl|php|go|java|rs|c|cpp|txt|html?|out|log|json|db|ipynb)$"
    r"|(?:test|tests|foo|bar|baz|a|b|x|t|example|output|out|result|results|issue|bug|mwe|demo|main_test)\d*\.(?:py|js|sh|rb|pl|php|txt|html?|log|out|c|cpp|java)$"
    r"|test[_-][\w-]*\.(?:py|js|mjs|cjs|ts|sh|rb|pl|php|txt|html?|db|rs|cpp)$"
)
#: Files that are nobody's product, wherever they stand.
_LEFT_OVER = re.compile(
    r".*\.(?:patch|diff|rej|orig|bak|backup|old|new|swp|tmp|log|out|pyc|o|class|pid|sqlite3-journal)$|.*~$|nohup\.out$|__pycache__$"
    r"|(?:reproduce|repro|reproduction)(?:[_-]\w*)?\.\w+$"
)
_DOCS = re.compile(
    r".*\.(?:md|mdx|rst|adoc|markdown|tex)$|(?:README|CHANGELOG|CHANGES|LICENSE|NEWS|HISTORY|AUTHORS|CONTRIBUTING|COPYING|NOTICE|TODO)(?:\.\w+)?$",
    re.IGNORECASE,
)
_DOC_FOLDERS = frozenset(
    {"doc", "docs", "documentation", "changelog", "changelogs", "changes", "newsfragments", "whatsnew"}
)
_CONFIG = re.compile(
    r".*\.(?:toml|cfg|ini|ya?ml|json|json5|jsonc|lock|properties|conf|config|env|editorconfig|gradle|csproj|sln|plist)$"
    r"|\.[\w.-]+$|(?:Makefile|Dockerfile|Jenkinsfile|Procfile|Gemfile|Rakefile|Vagrantfile|CMakeLists\.txt|pom\.xml"
    r"|requirements[\w.-]*\.txt|setup\.py|MANIFEST\.in|go\.(?:mod|sum)|tox\.ini)$"
)
_SOURCE_PARTS = frozenset({"src", "lib", "pkg", "internal", "app", "main"})


@lru_cache(maxsize=4096)
def joined(folder: str, path: str) -> str:
    """Give a path in its one spelling, seen from a folder; `folder` may be empty, where it is not known.

    `.` and `..` are worked out, double slashes dropped. A path below `~` or a variable stays as it is.
    """
    path = path[:PATH_MAX].strip()
    if path.startswith("file://"):
        path = path[7:]
    if not path.startswith(("/", "~", "$")) and path[1:3] not in (":\\", ":/") and folder:
        path = f"{folder}/{path}"
    if "//" not in path and "." not in path and not path.endswith("/"):
        return path
    rooted = path.startswith("/")
    parts: list[str] = []
    for part in path.split("/", _PARTS_MAX):
        if part in ("", "."):
            continue
        if part == ".." and parts and parts[-1] != "..":
            parts.pop()
        elif part != ".." or not rooted:
            parts.append(part)
    return ("/" if rooted else "") + "/".join(parts) or ("/" if rooted else ".")


@lru_cache(maxsize=8192)
def role(path: str, root: str = "") -> Role:
    """Say what kind of file a path names; `root` is the folder of the work, empty where nobody knows it.

    `scratch` is what agents write for themselves: files in temporary folders, scripts that reproduce,
    check or patch, tests that stand beside the work and not among its tests. `source` is what is no other.
    """
    inside = path.removeprefix(root).lstrip("/") if root and path.startswith(f"{root}/") else path
    folders, _, name = inside.rpartition("/")
    parts = folders.lower().split("/") if folders else []
    outside = inside.startswith(("/", "~", "$", ".."))
    if outside and (_SCRATCH_FOLDERS.intersection(parts[:4]) or inside.startswith("/dev/")):
        return "scratch"
    if _LEFT_OVER.match(name):
        return "scratch"
    if not _TEST_FOLDERS.isdisjoint(parts):
        return "test"
    if not outside and parts and _SCRATCH_FOLDERS.intersection(parts[:1]):
        return "scratch"
    if _is_top(parts, root, outside=outside) and _SCRATCH_NAME.match(name):
        return "scratch"
    if _TEST_NAME.match(name) or _TEST_CLASS.match(name):
        return "test"
    if _DOCS.match(name) or (not _DOC_FOLDERS.isdisjoint(parts) and not _CONFIG.match(name)):
        return "docs"
    return "config" if _CONFIG.match(name) else "source"


def _is_top(parts: list[str], root: str, *, outside: bool) -> bool:
    """Say whether a file stands beside the work: at its top, or in a folder of which nothing else is known."""
    if not parts:
        return True
    if not outside or root:
        return False
    # An absolute path, and nobody said where the work is: few folders above it, and none of them a package's.
    return len(parts) <= _TOP_DEPTH.get(parts[1] if len(parts) > 1 else "", 2) and _SOURCE_PARTS.isdisjoint(
        parts
    )


#: Folders under which checkouts usually stand, and how deep their tops then are (the empty part before `/` counts).
_TOP_DEPTH = {
    "home": 5,
    "users": 5,
    "root": 4,
    "workspace": 4,
    "workspaces": 4,
    "code": 4,
    "repo": 3,
    "repos": 4,
    "work": 4,
    "srv": 4,
    "opt": 4,
    "usr": 4,
}


def is_test_path(path: str, root: str = "") -> bool:
    """Say whether a path is of the work's tests."""
    return role(path, root) == "test"


def is_scratch_path(path: str, root: str = "") -> bool:
    """Say whether a path is of something that the agent wrote for itself."""
    return role(path, root) == "scratch"
