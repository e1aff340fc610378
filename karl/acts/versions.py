"""What git commands do: what is committed, pushed, thrown away, brought back, or only looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from karl.acts.patches import patched
from karl.acts.steps import Step
from karl.schema.act import Doing

_GLOBAL_VALUED = frozenset({"-C", "-c", "--git-dir", "--work-tree", "--namespace", "--exec-path"})
_PATHS_MAX = 16

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
        if "--dry-run" not in rest:
            yield Step("commit" if verb == "commit" else "push", None, end, program=name)
    elif verb in ("checkout", "restore", "reset", "clean", "revert", "stash"):
        yield from _thrown_away(verb, rest, end, here)
    elif verb in ("apply", "am"):
        yield from _applied(name, rest, end, here, fed)
    elif verb in ("mv", "rm"):
        yield from _moved(name, rest, end, here)
    elif verb == "grep":
        paths = rest[rest.index("--") + 1 :] if "--" in rest else []
        words = [word for word in rest if not word.startswith("-")]
        for path in (paths or words[1:] or ["."])[:_PATHS_MAX]:
            yield Step("search", here(path), end, program=name)
    else:
        lists = verb in ("ls-files", "ls-tree")
        yield Step(
            "list" if lists else "vcs", here(".") if lists else _looked_at(rest, here), end, program=name
        )


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
        if not word.startswith("-") and ":" in word and "/" in word.partition(":")[2] and "//" not in word:
            return here(word.partition(":")[2])
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
    }[verb]
    if not thrown or "-n" in rest or "--dry-run" in rest:
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
    files = [word for word in rest if not word.startswith("-")]
    if (fed is not None and not files) or files == ["-"]:
        for each in patched(fed or ""):
            path = here(each.moved_to or each.path)
            does: Doing = "delete" if each.became == "deleted" else "edit"
            yield Step(does, path, end, program=name, added=each.added, removed=each.removed)
        return
    for path in files[:4]:
        yield Step("edit", None, end, program=name, script="patch", args=(here(path),))
