"""What a commit did, one statement a fact, from its patch and from the syntax of what it changed. Pure.

Each is said in a fixed form of words, so that it can be checked by who knows nothing of how it was found
(`karl.learning.synthetic.grounding`).
"""

from __future__ import annotations

from collections.abc import Iterator

from karl.learning.synthetic.commits import FileChange, Told
from karl.learning.synthetic.definitions import Definition, begins_definition, in_lines, is_python, of_python

#: Parts of a path, and beginnings and endings of a name, that say that a file is a test.
_TEST_FOLDERS = frozenset(("test", "tests", "spec", "specs", "__tests__", "testing"))


def facts_of(told: Told) -> list[str]:
    """Say what a commit did: how many files, what became of each, what is defined there now."""
    tests = sum(map(is_test, told.touched))
    facts = [f"files touched: {told.in_patch}", f"tests among them: {tests or 'none'}"]
    for change in told.files:
        facts += _of_file(change)
        facts += dict.fromkeys(_of_definitions(change))
    return facts


def is_test(path: str) -> bool:
    """Say whether a path is that of a test, by the names that tests have."""
    *folders, name = path.split("/")
    stem = name.partition(".")[0]
    return (
        any(folder.lower() in _TEST_FOLDERS for folder in folders)
        or stem.startswith("test_")
        or stem.endswith(("_test", "_spec"))
        or ".test." in name
        or ".spec." in name
    )


def _of_file(change: FileChange) -> Iterator[str]:
    added = sum(len(hunk.added) for hunk in change.hunks)
    removed = sum(len(hunk.removed) for hunk in change.hunks)
    if not change.was:
        yield f"added `{change.path}`: {_lines(added)}"
    elif not change.path:
        yield f"removed `{change.was}`: {_lines(removed)}"
    else:
        if change.was != change.path:
            yield f"renamed `{change.was}` to `{change.path}`"
        if change.hunks:
            yield f"changed `{change.path}`: {_lines(added)} added, {removed} removed"


def _lines(count: int) -> str:
    return f"{count} line{'s' * (count != 1)}"


def _of_definitions(change: FileChange) -> Iterator[str]:
    if not change.path:
        return  # that the file is gone says it all
    if is_python(change.path):
        before, after = of_python(change.before), of_python(change.after)
        if before is not None and after is not None:
            yield from _of_python(change.path, before, after)
            return
    yield from _of_lines(change)


def _of_python(path: str, before: dict[str, Definition], after: dict[str, Definition]) -> Iterator[str]:
    new = {name: one for name, one in after.items() if name not in before}
    gone = {name: one for name, one in before.items() if name not in after}
    for old, now in _renamed(gone, new):
        yield f"`{path}`: renamed {gone.pop(old).kind} `{old}` to `{now}`"
        del new[now]
    for word, found in (("added", new), ("removed", gone)):
        for name, one in found.items():
            if name.rpartition(".")[0] not in found:  # what is in a new class came with it
                yield f"`{path}`: {word} {one.kind} `{name}`"
    for name, one in after.items():
        if name in before and one.whole != before[name].whole and one.kind == before[name].kind:
            yield f"`{path}`: changed {one.kind} `{name}`"


def _renamed(gone: dict[str, Definition], new: dict[str, Definition]) -> list[tuple[str, str]]:
    """Pair what went and what came where the inside is the same, and nothing else has it."""
    pairs = []
    for old, one in gone.items():
        like = [name for name, other in new.items() if one.inside and other.inside == one.inside]
        others = [name for name, other in gone.items() if other.inside == one.inside]
        if len(like) == len(others) == 1 and like[0].rpartition(".")[0] == old.rpartition(".")[0]:
            pairs.append((old, like[0]))
    return pairs


def _of_lines(change: FileChange) -> Iterator[str]:
    path = change.path
    came = in_lines(path, (line for hunk in change.hunks for line in hunk.added))
    went = in_lines(path, (line for hunk in change.hunks for line in hunk.removed))
    for word, found, others in (("added", came, went), ("removed", went, came)):
        for name, kind in found.items():
            if name not in others:
                yield f"`{path}`: {word} {kind} `{name}`"
    if change.was:
        for hunk in change.hunks:
            if begins_definition(path, hunk.header):
                yield f"`{path}`: changed below `{hunk.header}`"
