"""What git commands do: what is committed, pushed, thrown away, brought back, or only looked at."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from karl.acts.patches import patched
from karl.acts.steps import Step
from karl.schema.act import Doing

_GLOBAL_VALUED = frozenset({"-C", "-c", "--git-dir", "--work-tree", "--namespace", "--exec-path"})
_PATHS_MAX = 16
_THROWING = frozenset(
    {"checkout", "restore", "reset", "clean", "revert", "stash", "switch", "read-tree", "checkout-index"}
)
#: Systems that are no git: their words that keep, share, throw away and bring back.
OTHERS: dict[str, dict[str, Doing]] = {
    "hg": {"commit": "commit", "push": "push", "revert": "revert"},
    "svn": {"commit": "commit", "ci": "commit", "revert": "revert"},
    "jj": {"commit": "commit", "restore": "revert", "abandon": "revert", "undo": "revert"},
}

_ALL = re.compile(r"--all$|-(?!-)\w*a")
_HERE = frozenset({"HEAD", "@"})
#: Nothing is done, or one side of a merge is taken.
_NOT_THROWN = frozenset({"-n", "--dry-run", "--ours", "--theirs"})
_SHOWING = frozenset({"-p", "-u", "--patch", "-L"})
_NAMES_ONLY = frozenset(
    {"--stat", "--name-only", "--name-status", "--numstat", "--shortstat", "--quiet", "-s", "--check"}
)

Place = Callable[[str], str]


def git_steps(args: list[str], end: int, place: Place, fed: str | None) -> list[Step]:
    """Give the steps of `git ARGS`; `fed` is the text of its input, where that is known."""
    at, folder = 0, ""
    while at < len(args) and args[at].startswith("-"):
        if args[at] in _GLOBAL_VALUED:
            folder = args[at + 1] if args[at] == "-C" and at + 1 < len(args) else folder
            at += 1
        elif args[at] in ("--version", "--help"):
            return []
        at += 1
    if at >= len(args):
        return []
    verb, rest = args[at], args[at + 1 :]

    def here(path: str) -> str:
        return place(f"{folder}/{path}" if folder and not path.startswith(("/", "~")) else path)

    return list(_steps(verb, rest, end, here, fed))[:_PATHS_MAX]


def _steps(verb: str, rest: list[str], end: int, here: Place, fed: str | None) -> Iterator[Step]:
    name = f"git {verb}"
    if verb in ("commit", "push"):
        if "--allow-empty" in rest and not any(map(_ALL.match, rest)):
            yield Step("vcs", None, end, program=f"{name} --allow-empty")  # it keeps nothing
        elif {"--dry-run", "--help", "-h"}.isdisjoint(rest):
            yield Step("commit" if verb == "commit" else "push", None, end, program=name)
    elif verb in _THROWING:
        yield from _thrown_away(verb, rest, end, here)
    elif verb in ("apply", "am"):
        yield from _applied(name, rest, end, here, fed)
    elif verb == "worktree" and rest[:1] == ["remove"]:
        yield from (
            Step("revert", here(path), end, program=name) for path in rest[1:] if not path.startswith("-")
        )
    elif verb in ("mv", "rm"):
        yield from _moved(name, rest, end, here)
    elif verb == "grep":
        paths = rest[rest.index("--") + 1 :] if "--" in rest else []
        words = [word for word in rest if not word.startswith("-")]
        for path in (paths or words[1:] or ["."])[:_PATHS_MAX]:
            yield Step("search", here(path), end, program=name)
    else:
        yield _seen(verb, rest, end, here)


def _seen(verb: str, rest: list[str], end: int, here: Place) -> Step:
    """Read a look into history: it shows a file, where it names one and more than its name."""
    if verb in ("ls-files", "ls-tree"):
        return Step("list", here("."), end, program=f"git {verb}")
    path = _looked_at(rest, here)
    shows = verb in ("show", "blame", "diff", "annotate") or (verb == "log" and not _SHOWING.isdisjoint(rest))
    is_read = path is not None and shows and _NAMES_ONLY.isdisjoint(rest)
    return Step("read" if is_read else "vcs", path, end, program=f"git {verb}")


def other_steps(system: str, args: list[str], end: int, place: Place) -> list[Step]:
    """Give the steps of `hg ARGS` and its like."""
    verb = next((arg for arg in args if not arg.startswith("-")), "")
    if not verb:
        return []
    does = OTHERS[system].get(verb, "vcs")
    if system == "hg" and verb in ("update", "up", "checkout") and not {"-C", "--clean"}.isdisjoint(args):
        does = "revert"
    paths = [arg for arg in args[args.index(verb) + 1 :] if not arg.startswith("-") and arg != "."]
    if does != "revert" or not paths or system == "jj":
        return [Step(does, None, end, program=f"{system} {verb}")]
    return [Step(does, place(path), end, program=f"{system} {verb}") for path in paths[:_PATHS_MAX]]


def _moved(name: str, rest: list[str], end: int, here: Place) -> Iterator[Step]:
    paths = [word for word in rest if not word.startswith("-")]
    if name == "git rm":
        gone = paths if "--cached" not in rest else []
        yield from (Step("delete", here(path), end, program=name) for path in gone)
    elif len(paths) >= 2:
        for path in paths[:-1]:
            yield Step("delete", here(path), end, program=name)
        yield Step("edit", here(paths[-1]), end, program=name, script="copy", args=(here(paths[0]),))


def _looked_at(rest: list[str], here: Place) -> str | None:
    """Give the one file that a look into history is about, where it is told."""
    if "--" in rest:
        paths = rest[rest.index("--") + 1 :]
        return here(paths[0]) if len(paths) == 1 else None
    files = [word for word in rest if not word.startswith("-") and _is_file(word) and ".." not in word]
    if len(files) == 1 and ":" not in files[0]:
        return here(files[0])
    for word in rest:
        path = word.partition(":")[2]
        if not word.startswith("-") and "//" not in word and ("/" in path or _is_file(path)):
            return here(path)
    return None


def _thrown_away(verb: str, rest: list[str], end: int, here: Place) -> Iterator[Step]:
    name = f"git {verb}"
    paths = _paths_of(verb, rest)
    if verb == "stash":
        word = next((word for word in rest if not word.startswith("-")), "push")
        if word in ("pop", "apply"):
            yield Step("edit", None, end, program=f"git stash {word}", script="unstash")
        elif word in ("push", "save"):
            yield Step("revert", None, end, program="git stash", script="stash")
        else:
            yield Step("vcs", None, end, program=f"git stash {word}")
        return
    thrown = {
        "checkout": paths is not None or "-f" in rest or "--force" in rest,
        "restore": "--staged" not in rest or "--worktree" in rest or "-W" in rest,
        "reset": "--hard" in rest or "--merge" in rest,
        "clean": any(word.startswith("-") and "f" in word and not word.startswith("--") for word in rest)
        or "--force" in rest,
        "revert": True,
        "switch": not {"--discard-changes", "-f", "--force"}.isdisjoint(rest),
        "read-tree": "--reset" in rest,
        "checkout-index": not {"-f", "--force"}.isdisjoint(rest),
    }[verb]
    if verb == "reset" and any(word not in _HERE and not word.startswith("-") for word in rest):
        name = "git revert"  # what was committed goes too
    if not thrown or not _NOT_THROWN.isdisjoint(rest):
        yield Step("vcs", None, end, program=name)
    elif paths:
        yield from (Step("revert", None if path == "." else here(path), end, program=name) for path in paths)
    else:
        yield Step("revert", None, end, program=name)


def _paths_of(verb: str, rest: list[str]) -> list[str] | None:
    """Give the paths that are thrown away; empty for all of them, null for a checkout that only moves."""
    if "--" in rest:
        return rest[rest.index("--") + 1 :]
    words: list[str] = []
    skip = False
    for word in rest:
        if skip:
            skip = False
        elif word in ("-b", "-B", "--orphan", "-t", "--track", "--detach", "-d") and verb == "checkout":
            return None
        elif word in ("-s", "--source", "-e", "--exclude", "--conflict"):
            skip = True
        elif not word.startswith("-"):
            words.append(word)
    if verb == "restore":
        return words
    if verb == "checkout":
        files = [word for word in words if word == "." or _is_file(word)]
        return files or None
    return []


def _is_file(word: str) -> bool:
    """Tell a file from a branch by its looks: branches have folders and no endings."""
    name = word.rsplit("/", 1)[-1]
    stem, dot, ending = name.rpartition(".")
    return (
        bool(dot and stem and ending.isalnum() and not ending.isdigit() and len(ending) <= 5)
        or word.endswith("/")
        or word.startswith("./")
    )


def _applied(name: str, rest: list[str], end: int, here: Place, fed: str | None) -> Iterator[Step]:
    if not {"--check", "--stat", "--numstat", "--summary", "--cached", "--abort"}.isdisjoint(rest):
        yield Step("vcs", None, end, program=name)
        return
    if not {"-R", "--reverse"}.isdisjoint(rest):
        yield Step("revert", None, end, program=name)
        return
    files = [word for word in rest if not word.startswith("-")]
    if (fed is not None and not files) or files == ["-"]:
        for each in patched(fed or ""):
            path = here(each.moved_to or each.path)
            does: Doing = "delete" if each.became == "deleted" else "edit"
            made = Step(does, path, end, program=name, added=each.added, removed=each.removed)
            made.old, made.new = each.old, each.new
            yield made
        return
    for path in files[:4]:
        yield Step("edit", None, end, program=name, script="patch", args=(here(path),))
