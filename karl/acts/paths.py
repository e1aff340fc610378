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
    """
    tests __tests__ spec specs testdata test_data fixtures e2e __mocks__ __snapshots__ cypress unittests
    unit_tests integration_tests testsuite androidtest commontest jvmtest integrationtest functionaltest
    """.split()  # noqa: SIM905 - as folders are written
)
#: Folders of tests at the top or of other languages; inside a Python package, as often a product for testing.
_TEST_OR_TESTING = frozenset({"test", "testing"})
_TEST_NAME = re.compile(
    r"(?:conftest|tests?)\.py$|test_.+\.(?:py|pyi|rb|c|cc|cpp|lua)$|.+\.t$"
    r"|.+[._-](?:test|tests|spec|specs|e2e|cy)\.[a-z]{1,4}x?$|.+_test(?:s|_lib|_util)?\.\w{1,5}$"
)
_TEST_CLASS = re.compile(
    r"(?:Test[A-Z]\w*|\w+(?:Tests?|TestCase|Spec|Suite)|\w*[a-z0-9]IT)\.(?:java|kts?|scala|groovy|cs|swift|php|m)$"
)
_TEMPORARY = frozenset({"tmp", "temp", "scratch", "scratchpad"})
#: Of no work: what is installed, made, or the tools' own.
_NOT_THE_WORK = frozenset(
    """
    site-packages dist-packages node_modules .git .venv venv __pycache__ .pytest_cache .mypy_cache .tox
    .ruff_cache .cache .eggs
    """.split()  # noqa: SIM905
)
#: Hidden folders that belong to the work in whose checkout they stand.
_OF_REPOSITORIES = frozenset(
    {".github", ".gitlab", ".circleci", ".husky", ".vscode", ".storybook", ".changeset"}
)
_SCRATCH_FOLDER = re.compile(
    r"(?:repro(?:duc\w*)?(?:[_-]\w*)?|(?:verify|debug|check|scratch|sandbox)(?:[_-]\w*)?|\w+[_-]repro|tmp|temp)$"
)
_ENDINGS = r"\.(?:py|js|mjs|cjs|ts|sh|rb|pl|php|go|java|rs|c|cpp|txt|html?|out|log|json|db|ipynb|diff)$"
#: Files that agents write for themselves, beside the work: to see the fault, to try the mend, to make it.
_SCRATCH_NAME = re.compile(
    r"(?:(?:repro\w*|debug|verify|verification|scratch|try|tmp|temp|demo|poc|check|inspect|investigate|explore"
    r"|analy[sz]e|probe|fix|patch|apply|cleanup|snippet|replacement|minimal|edge_cases?)(?:[_-]\w*|\d*)"
    r"|(?:update|modify|edit|replace|add|insert|remove|rewrite|refactor|convert|finali[sz]e|run_test|run_repro"
    r"|simple|quick|manual|my|final|comprehensive|example|create_test|new_test)_\w+"
    r"|(?:test|tests|mytest|foo|bar|baz|output|out|result|results|issue|bug|mwe)\d*"
    rf"|test[_-][\w-]*){_ENDINGS}"
    # What a tool of the agent's is given, and what stands at the top though its language has folders for it.
    r"|(?:old|new|search|replacement|original)(?:_\w+)?\.txt$|[A-Z]\w*\.(?:java|kt|scala|groovy)$"
)
#: Files that are nobody's product, wherever they stand.
_LEFT_OVER = re.compile(
    r".*\.(?:patch|diff|rej|orig|bak|backup|old|new|swp|tmp|log|out|pyc|o|class|pid|sqlite3-journal)$|.*~$"
    r"|nohup\.out$|__pycache__$|(?:reproduce|repro|reproduction)(?:[_-]\w*)?\.\w+$"
    r"|Repro(?:duc(?:e|tion))?(?:[A-Z_]\w*)?\.(?:java|kt|scala|groovy)$"
    r"|.+\.(?:py|js|ts|java|go|rs|c|h|cpp|rb)[._-](?:new|old|orig|bak|mod|patch|revert|tmp|copy|fixed|part)\w*$"
)
#: What an agent keeps of itself: its notes from day to day, beside or above the work.
_OWN_NOTES = re.compile(r".*/\.openclaw/(?:workspace/)?(?:memory/.+|[A-Z]+\.md)$")
_DOCS = re.compile(
    r".*\.(?:md|mdx|rst|adoc|markdown)$"
    r"|(?:README|CHANGELOG|CHANGES|LICENSE|NEWS|HISTORY|AUTHORS|CONTRIBUTING|COPYING|NOTICE|TO[-]?DO)"
    r"(?:-[A-Z]{2,6})?(?:\.(?:txt|html?|md|rst))?$",
    re.IGNORECASE,
)
#: Endings of texts that, at the work's top, are for people.
_NOTES = (".txt", ".csv", ".log", ".out")
_DOC_FOLDERS = frozenset(
    {"doc", "docs", "documentation", "changelog", "changelogs", "changes", "newsfragments", "whatsnew"}
)
_CONFIG = re.compile(
    r".*\.(?:toml|cfg|ini|ya?ml|json|json5|jsonc|lock|properties|conf|config|env|editorconfig|gradle|csproj|sln"
    r"|plist)$|\.[\w.-]+$|(?:requirements|constraints|robots)[\w.-]*\.txt$|go\.(?:mod|sum)$"
    r"|(?:Makefile|Dockerfile|Jenkinsfile|Procfile|Gemfile|Rakefile|Vagrantfile|CMakeLists\.txt|pom\.xml|setup\.py"
    r"|MANIFEST\.in)$"
)
_SOURCE_PARTS = frozenset({"src", "lib", "pkg", "internal", "app", "main"})
#: Folders under which checkouts usually stand, and how deep their tops are: the part before `/` counts.
_TOP_DEPTH = {
    **dict.fromkeys(("home", "users"), 5),
    **dict.fromkeys(("root", "workspace", "workspaces", "code", "repos", "work", "srv", "opt", "usr"), 4),
    "repo": 3,
}


def of_drive(path: str) -> str:
    """Give a path of a Windows drive as its other shells write it, `/d/x` for `D:/x`; any other as it is."""
    if path[1:2] == ":" and path[2:3] in ("\\", "/") and path[0].isalpha():
        return f"/{path[0].lower()}/{path[3:]}".replace("\\", "/")
    return path


@lru_cache(maxsize=4096)
def joined(folder: str, path: str) -> str:
    """Give a path in its one spelling, seen from a folder; `folder` may be empty, where it is not known.

    `.` and `..` are worked out, double slashes dropped. A path below `~` or a variable stays as it is.
    """
    path = path[:PATH_MAX].strip()
    path = path.removeprefix("file://")
    if path.startswith("$HOME/"):
        path = f"~{path[5:]}"
    if folder and not path.startswith(("/", "~", "$")) and path[1:3] not in (":\\", ":/"):
        path = f"{folder}/{path}"
    if path[1:3] in (":\\", ":/"):
        path = of_drive(path)
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

    `scratch` is what is none of the work: files in temporary folders, what is installed, scripts that
    reproduce, check or patch, tests that stand beside the work and not among its tests. `source` is what
    is no other.
    """
    inside = path[len(root) + 1 :] if root and path.startswith(f"{root}/") else path
    outside = inside.startswith(("/", "~", "$", ".."))
    *folders, name = inside.split("/")
    parts = [folder.lower() for folder in folders]
    if _is_elsewhere(parts, name, root if outside else "", outside=outside) or _LEFT_OVER.match(name):
        return "scratch"
    if ".openclaw" in parts and _OWN_NOTES.match(path):
        return "scratch"
    is_top = _is_top(parts, root, outside=outside)
    if parts and not outside and _SCRATCH_FOLDER.match(parts[0]):
        return "scratch"
    if name.endswith(".md"):
        return "docs"
    if _is_of_tests(parts, name, outside=outside):
        return "test"
    if is_top and _SCRATCH_NAME.match(name):
        return "scratch"
    if _TEST_NAME.match(name) or _TEST_CLASS.match(name):
        return "test"
    if is_top and not outside and name.endswith(_NOTES) and not _CONFIG.match(name):
        return "docs"
    if _DOCS.match(name) or (not _DOC_FOLDERS.isdisjoint(parts) and not _CONFIG.match(name)):
        return "docs"
    return "config" if _CONFIG.match(name) else "source"


def _is_elsewhere(parts: list[str], name: str, root: str, *, outside: bool) -> bool:
    """Say whether a path is in a temporary folder, of what is installed, or a tool's own beside the work."""
    if not _NOT_THE_WORK.isdisjoint(parts):
        return True
    if not outside:
        return False
    near = {*parts[:4], name} if len(parts) < 2 else set(parts[:4])
    hidden = bool(root) and any(
        part.startswith(".") and part.strip(".") and part not in _OF_REPOSITORIES for part in parts
    )
    is_users_own = "appdata" in parts[2:6]  # where Windows keeps programs' data and temporary files
    return not _TEMPORARY.isdisjoint(near) or parts[1:2] == ["dev"] or hidden or is_users_own


def _is_of_tests(parts: list[str], name: str, *, outside: bool) -> bool:
    """Say whether a file stands among the work's tests."""
    if not _TEST_FOLDERS.isdisjoint(parts) or name in ("tests", "__tests__"):
        return True
    if _TEST_OR_TESTING.isdisjoint(parts):
        return False
    return not name.endswith(".py") or (not outside and parts[0] in _TEST_OR_TESTING)


def _is_top(parts: list[str], root: str, *, outside: bool) -> bool:
    """Say whether a file stands beside the work: at its top, or in a folder that nobody knows."""
    if not parts:
        return True
    if not outside or root:
        return False
    # An absolute path, and nobody said where the work is: few folders above, and none of them a package's.
    deepest = _TOP_DEPTH.get(parts[1] if len(parts) > 1 else "", 2)
    return len(parts) <= deepest and _SOURCE_PARTS.isdisjoint(parts)


def is_test_path(path: str, root: str = "") -> bool:
    """Say whether a path is of the work's tests."""
    return role(path, root) == "test"


def is_scratch_path(path: str, root: str = "") -> bool:
    """Say whether a path is of something that the agent wrote for itself."""
    return role(path, root) == "scratch"
