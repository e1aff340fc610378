"""A plan: what a shell command would do if it ran, read from its text alone, and kept by its text.

It walks the tree of `karl.acts.shell`, follows `cd` and simple variables, looks through programs that run
others, and asks `karl.acts.commands` what each command does. What depends on the turn (folders, scripts that
were written before, outputs) is left to the reader.

Invariants:
- Pure, never raises; at most STEPS_MAX steps and DEPTH_MAX texts in one another.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from karl.acts import commands
from karl.acts.paths import joined
from karl.acts.shell import Group, Item, Node, Pipe, Redirect, Simple, parse
from karl.acts.steps import (
    AS_CALL,
    HIDDEN,
    IF_BAD,
    IF_OK,
    NOT_CALL,
    STEPS_MAX,
    Mark,
    Plan,
    Step,
)
from karl.acts.tokens import LIVE, UNKNOWN
from karl.acts.wrappers import WRAPPERS, inner_of

DEPTH_MAX = 5
_CACHED_MAX = 2048
_LOOP_MAX = 16
_WORDS_MAX = 400
_WRAPPED_MAX = 8
_VARIABLES_MAX = 200
_SAID_MAX = 32
_VARIABLE = re.compile(LIVE + r"(?:\{([A-Za-z_]\w*)[^}]*\}|([A-Za-z_]\w*|[1-9])|\?)")
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)\+?=")
_STATUS = re.compile(r"\x03(\d+)\x03")
_SHELLS = frozenset({"bash", "sh", "zsh", "dash", "ksh", "ash", "fish"})
_SAYS = frozenset({"echo", "printf"})
_TRUE = frozenset({"true", ":"})
_NOWHERE = frozenset({"/dev/null", "/dev/stdout", "/dev/stderr", "/dev/tty", "-"})


@lru_cache(maxsize=1024)
def _cached(text: str) -> Plan:
    return _Walk().plan(text)


def plan_of(text: str) -> Plan:
    """Give the plan of a command's text."""
    return _cached(text) if len(text) <= _CACHED_MAX else _Walk().plan(text)


def within_plan(body: str, args: tuple[str, ...], end: int, script: str) -> list[Step]:
    """Give the steps of a script's text that is run with some words, all of them with one end."""
    walk = _Walk()
    if script == "sh" or (body.startswith("#!") and "sh" in body[:40].split("\n")[0]):
        for place, arg in enumerate(args, 1):
            walk.given(str(place), arg)
        walk.within(body, end)
    else:
        commands.add_touched(walk, body, args, end, script)
    return walk.steps


class _Place(NamedTuple):
    """What a command finds around it: how its end shows in the call's, what stands before it in a pipe."""

    end: int
    piped: bool = False
    #: The text that the command before it in the pipe gives, where that is known.
    fed: str | None = None


class _Walk:
    """Walks one text; `steps` grow in the order of doing."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.cwd = ""
        self._given: dict[str, str] = {}
        self._functions: dict[str, list[Item]] = {}
        self._running: set[str] = set()
        self._said: list[str] = []
        self._marks: list[Mark] = []
        self._depth = 0
        self._errexit = self._pipefail = False
        self._is_over = False
        self._folders: list[str] = []
        #: The range of steps of the last pipe's parts: what `$?` and PIPESTATUS speak of.
        self._last: list[tuple[int, int]] = []

    def plan(self, text: str) -> Plan:
        self._list(parse(text), AS_CALL)
        return Plan(
            tuple(self.steps), "\n".join(self._said), tuple(self._marks), tuple(self._folders), self.cwd
        )

    def given(self, name: str, value: str) -> None:
        """Give a variable its value before the walk."""
        self._given[name] = value

    # --- lists and pipes ---

    def within(self, text: str, end: int) -> None:
        """Walk a text that stands in another."""
        if self._depth >= DEPTH_MAX or len(self.steps) >= STEPS_MAX:
            return
        self._depth += 1
        self._list(parse(text), end)
        self._depth -= 1

    def _list(self, items: list[Item], end: int) -> None:
        at = 0
        while at < len(items) and not self._is_over and len(self.steps) < STEPS_MAX:
            to = at + 1
            while to < len(items) and items[to].joined != ";":
                to += 1
            last = to == len(items)
            shown = end if last else IF_OK if self._errexit and end in (AS_CALL, IF_OK) else HIDDEN
            self._chain(items[at:to], HIDDEN if items[to - 1].background else shown)
            at = to

    def _chain(self, items: list[Item], end: int) -> None:
        """Walk what `&&` and `||` join. A part that can not run is passed over."""
        if len(items) == 1:
            self._pipe(items[0].pipe, end)
            return
        signs = {item.joined for item in items[1:]}
        if end not in (AS_CALL, IF_OK):
            part = HIDDEN
        elif signs == {"&&"}:
            part = IF_OK
        else:
            part = IF_BAD if signs == {"||"} and end == AS_CALL else HIDDEN
        start, ended = len(self.steps), None
        for item in items:
            if (item.joined == "||" and ended is True) or (item.joined == "&&" and ended is False):
                continue
            before = self._is_over
            ended = self._pipe(item.pipe, part)
            if item.joined == "||" and not before:
                self._is_over = False  # `cd x || exit` does not end what follows
        if part == IF_OK and end == AS_CALL and len(self.steps) == start + 1:
            self.steps[start].end = AS_CALL if self.steps[start].end == IF_OK else self.steps[start].end

    def _pipe(self, pipe: Pipe, end: int) -> bool | None:
        """Walk a pipe; say how it ends, where its text tells (`true`, `echo`)."""
        if pipe.negated:
            end = NOT_CALL if end == AS_CALL else HIDDEN
        items = pipe.items
        if len(items) == 1:
            start = len(self.steps)
            ended = self._node(items[0], _Place(end))
            if len(self.steps) > start or not _only_assigns(items[0]):
                self._last = [(start, len(self.steps))]
            return (None if ended is None else not ended) if pipe.negated else ended
        ranges: list[tuple[int, int]] = []
        fed: str | None = None
        inner = IF_OK if self._pipefail and end in (AS_CALL, IF_OK) else HIDDEN
        for place, item in enumerate(items):
            start = len(self.steps)
            self._node(item, _Place(end if place == len(items) - 1 else inner, place > 0, fed))
            ranges.append((start, len(self.steps)))
            fed = _told(item) if isinstance(item, Simple) else None
        self._last = ranges
        first = ranges[0][0]
        if inner == IF_OK and end == AS_CALL and len(self.steps) == first + 1:
            self.steps[first].end = AS_CALL
        return None

    def _node(self, node: Node, place: _Place) -> bool | None:
        if isinstance(node, Simple):
            return self._simple(node, place)
        self._group(node, place)
        return None

    def _group(self, node: Group, place: _Place) -> None:
        kind, parts = node.kind, node.parts
        if kind == "function":
            for name in node.words[:1]:
                self._functions[name] = parts[0]
            return
        if kind == "(":
            self._apart(parts[0], place.end)
        elif kind == "{":
            self._list(parts[0], place.end)
        elif kind == "if":
            self._branches(parts)
        elif kind == "for":
            self._loop(node)
        elif kind != "while" or not _is_word(parts[0], "false"):
            for part in parts:
                self._list(part, HIDDEN)
                self._is_over = False
        self._redirected(node.redirects, place.end, node.body, "")

    def _apart(self, items: list[Item], end: int) -> None:
        """Walk a list in a shell of its own: what it sets, and where it goes, ends with it."""
        kept = (self.cwd, self._errexit, self._pipefail, dict(self._given))
        self._list(items, end)
        self.cwd, self._errexit, self._pipefail, self._given = kept
        self._is_over = False

    def _branches(self, parts: list[list[Item]]) -> None:
        for at, part in enumerate(parts):
            before = parts[at - 1] if at else []
            is_body = at % 2 == 1 or at == len(parts) - 1
            if (at == 1 and _is_word(before, "false")) or (at == 2 and _is_word(parts[0], "true", ":")):
                continue
            kept = self.cwd
            self._list(part, HIDDEN)
            self._is_over = False
            if is_body:
                self.cwd = kept if at else self.cwd

    def _loop(self, node: Group) -> None:
        name, values = node.words[0] if node.words else "", node.words[1:]
        plain = [self._expand(value) for value in values if UNKNOWN not in value][:_LOOP_MAX]
        rounds = plain or [UNKNOWN]
        for value in rounds:
            self._given[name] = value
            for part in node.parts:
                self._list(part, AS_CALL if len(rounds) == 1 and plain else HIDDEN)
            self._is_over = False
            if len(self.steps) >= STEPS_MAX:
                break
        # One round's end is not the call's: other rounds may have ended otherwise.
        for step in self.steps:
            if len(rounds) > 1 and step.end == AS_CALL:
                step.end = HIDDEN

    # --- commands ---

    def _expand(self, word: str) -> str:
        if LIVE not in word:
            return word
        return _VARIABLE.sub(self._value, word).replace(LIVE, "$")

    def _value(self, found: re.Match[str]) -> str:
        name = found[1] or found[2]
        if name is None:
            return self._status(-1)
        if name == "PIPESTATUS":
            index = found[0].partition("[")[2][:1]
            return self._status(int(index) if index.isdigit() else 0)
        return self._given.get(name, found[0])

    def _status(self, part: int) -> str:
        """Stand in for a status by the step that it is of, or by a dash where it is of none that is alone."""
        if not self._last or part >= len(self._last):
            return "\x03-\x03"
        start, end = self._last[part]
        doing = [at for at in range(start, end) if self.steps[at].does != "edit"] or [*range(start, end)]
        return f"\x03{doing[0]}\x03" if len(doing) == 1 else "\x03-\x03"

    def _simple(self, node: Simple, place: _Place) -> bool | None:
        for inner in node.inner:
            kept = (self.cwd, self._is_over)
            self.within(inner, HIDDEN)
            self.cwd, self._is_over = kept
        words = node.words if len(node.words) <= _WORDS_MAX else node.words[:_WORDS_MAX]
        if any(LIVE in word for word in words):
            words = [self._expand(word) for word in words]
        words = self._assigned(words)
        start, ended = len(self.steps), None
        if words:
            ended = self._command(words, node, place)
        if node.body is not None and words and not node.redirects:
            self._print(node.body)
        if node.redirects:
            fed = node.body if words[:1] == ["cat"] else self._said_by(words) if words else None
            self._redirected(node.redirects, place.end, fed, words[0] if words else "")
        return ended if len(self.steps) == start else None

    def _assigned(self, words: list[str]) -> list[str]:
        """Give a command's words without the variables set before it; without a command, these stay set."""
        at = 0
        while at < len(words) and "=" in words[at] and _ASSIGNMENT.match(words[at]):
            at += 1
        if at and at == len(words):
            self._set_variables(words)
        return words[at:] if at else words

    def _set_variables(self, words: list[str]) -> None:
        for word in words:
            if (named := _ASSIGNMENT.match(word)) and len(self._given) < _VARIABLES_MAX:
                value = word[named.end() :]
                self._given[named[1]] = value if "$()" not in value else UNKNOWN

    def _print(self, text: str) -> None:
        """Note a text that the command may print itself: nobody's result stands in it."""
        if len(self._said) < _SAID_MAX:
            self._said.append(text[:4000])

    def _said_by(self, words: list[str]) -> str | None:
        return " ".join(words[1:]) if words[0] in _SAYS else None

    def _redirected(self, redirects: list[Redirect], end: int, fed: str | None, program: str) -> None:
        """Files that outputs go to are written."""
        for sign, target, number in redirects:
            if (
                ">" not in sign
                or target in _NOWHERE
                or target.isdigit()
                or not target
                or sign == ">&"
                and number
            ):
                continue
            path = self._expand(target)
            if path.startswith("/dev/"):
                continue
            self.add(
                Step(
                    "edit",
                    self.place(path),
                    end,
                    added=_lines(fed) if fed else 0,
                    body=fed,
                    program=program or None,
                    appends=sign.endswith(">>"),
                )
            )

    def add(self, step: Step) -> None:
        """Take a step in, as long as there is room."""
        if len(self.steps) < STEPS_MAX:
            self.steps.append(step)

    def place(self, path: str) -> str:
        """Give a path as it is seen from where the text began."""
        return joined(self.cwd, path)

    def _command(self, words: list[str], node: Simple, place: _Place) -> bool | None:
        """Walk one command: itself, or the one that it wraps. Says how it ends where the text tells."""
        kept = self.cwd
        for _ in range(_WRAPPED_MAX):
            name = words[0].rsplit("/", 1)[-1]
            if name not in WRAPPERS or (inner := inner_of(name, words)) is None:
                break
            if inner.elsewhere:
                self.cwd = inner.folder or ""
            elif inner.folder:
                self.cwd = self.place(inner.folder)
            if inner.text is not None:
                self.within(inner.text, place.end)
                return None
            words = inner.words
        ended = self._own(words, node, place)
        if words is not node.words and words[0] != "cd":
            self.cwd = kept
        return ended

    def _own(self, words: list[str], node: Simple, place: _Place) -> bool | None:
        """Walk a command that wraps none."""
        name = words[0].rsplit("/", 1)[-1]
        if name in _SAYS:
            self._say(words)
            return True
        if name in _TRUE or name == "false":
            return name != "false"
        if name in _BUILTINS:
            _BUILTINS[name](self, words)
        elif name in self._functions and name not in self._running:
            self._running.add(name)
            self._list(self._functions[name], place.end)
            self._running.discard(name)
            self._is_over = False
        elif not self._texts(name, words, node, place):
            if "-c" in words[:-1]:
                self._print(words[words.index("-c") + 1])
            fed = node.body if node.body is not None else place.fed
            commands.read(self, words, place.end, piped=place.piped, fed=fed)
        return None

    def _texts(self, name: str, words: list[str], node: Simple, place: _Place) -> bool:
        """Walk the text that a command is given to run; says whether there was one."""
        if name in _SHELLS:
            return self._shell(words, node, place)
        if name == "eval":
            self.within(" ".join(words[1:]), place.end)
        elif name == "ssh" and (command := commands.ssh_command(words)):
            kept, self.cwd = self.cwd, "~"
            self.within(command, place.end)
            self.cwd = kept
        elif name == "su" and "-c" in words[:-1]:
            self.within(words[words.index("-c") + 1], place.end)
        else:
            return False
        return True

    def leave(self, words: list[str]) -> None:  # noqa: ARG002 - each of these takes its words
        """End the list that stands here: `exit`, `return`."""
        self._is_over = True

    def export(self, words: list[str]) -> None:
        """Set the variables of an `export`."""
        self._set_variables(words[1:])

    def _say(self, words: list[str]) -> None:
        """Note what a command prints: an output that says it says nothing of a check, but for a status."""
        said = " ".join(words[1:])
        if "\x03" in said:
            found = _STATUS.search(said)
            if found:
                head = said[: found.start()].rsplit("\n", 1)[-1].rsplit("\\n", 1)[-1]
                self._marks.append(
                    Mark(
                        int(found[1]),
                        head.removeprefix("-e ").removeprefix("-n ").replace("%d", "").replace("%s", ""),
                    )
                )
            said = _STATUS.sub("", said).replace("\x03-\x03", "")
        self._print(said)

    def go(self, words: list[str]) -> None:
        """Go where a `cd` goes."""
        to = next((word for word in words[1:] if not word.startswith("-") or word == "-"), "~")
        if words[0] == "popd" or to == "-":
            self.cwd = self._folders[-2] if len(self._folders) > 1 else ""
            return
        self.cwd = self.place(to)
        self.cwd = "" if self.cwd == "." else self.cwd
        if len(self._folders) < 32:
            self._folders.append(self.cwd)

    def options(self, words: list[str]) -> None:
        """Read a `set`."""
        args = words[1:]
        for at, arg in enumerate(args):
            on = arg.startswith("-")
            if arg in ("-o", "+o"):
                if args[at + 1 : at + 2] == ["pipefail"]:
                    self._pipefail = on
                elif args[at + 1 : at + 2] == ["errexit"]:
                    self._errexit = on
            elif arg[:1] in ("-", "+") and not arg.startswith("--"):
                if "e" in arg:
                    self._errexit = on
                if "o" in arg and "pipefail" in args:
                    self._pipefail = on

    def _shell(self, words: list[str], node: Simple, place: _Place) -> bool:
        """Walk what a shell is given to run; says whether that was a text."""
        for at, word in enumerate(words[1:], 1):
            if word.startswith("-") and not word.startswith("--") and "c" in word:
                if at + 1 < len(words) and self._depth < DEPTH_MAX:
                    self._depth += 1
                    self._apart(parse(words[at + 1]), place.end)
                    self._depth -= 1
                return True
            if not word.startswith(("-", "+")):
                return False
        fed = node.body if node.body is not None else place.fed
        if fed is not None:
            kept_cwd = self.cwd
            self.within(fed, place.end)
            self.cwd, self._is_over = kept_cwd, False
            return True
        return False


_BUILTINS: dict[str, Callable[[_Walk, list[str]], None]] = {
    **dict.fromkeys(("cd", "pushd", "popd"), _Walk.go),
    **dict.fromkeys(("exit", "return"), _Walk.leave),
    **dict.fromkeys(("export", "declare", "local", "readonly", "typeset"), _Walk.export),
    "set": _Walk.options,
}


def _only_assigns(node: Node) -> bool:
    return isinstance(node, Simple) and all(map(_ASSIGNMENT.match, node.words))


def _told(node: Simple) -> str | None:
    """Give what a command feeds to the next one in a pipe, where its text says so."""
    if not node.words:
        return None
    if node.words[0] == "cat" and len(node.words) == 1:
        return node.body
    if node.words[0] in _SAYS:
        text = " ".join(word for word in node.words[1:] if word not in ("-e", "-n", "-E", "%s", "%s\\n"))
        return text.replace("\\n", "\n")
    return None


def _is_word(items: list[Item], *words: str) -> bool:
    """Say whether a list is one bare command."""
    if len(items) != 1 or len(items[0].pipe.items) != 1 or items[0].pipe.negated:
        return False
    node = items[0].pipe.items[0]
    return isinstance(node, Simple) and len(node.words) == 1 and node.words[0] in words


def _lines(text: str) -> int:
    return text.count("\n") + (not text.endswith("\n")) if text else 0
