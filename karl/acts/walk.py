"""The walk over a command's tree: which of its parts run, in which order, and whose end is whose.

Invariants:
- A part that can not run (`true || x`, what stands behind `exit`, a function not called) is passed over.
- At most STEPS_MAX steps, DEPTH_MAX texts in one another and _PIPES_MAX pipes, loops and functions included.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod

import msgspec

from karl.acts.shell import Group, Item, Node, Pipe, Redirect, Simple, parse
from karl.acts.steps import AS_CALL, HIDDEN, IF_BAD, IF_OK, NOT_CALL, STEPS_MAX, Mark, Plan, Step
from karl.acts.tokens import UNKNOWN

DEPTH_MAX = 5
_LOOP_MAX = 16
#: Pipes that are walked in one text: loops in loops and functions in functions would go on for ever.
_PIPES_MAX = 4000
_ENDS_SHOWN = (["tail"], ["head"], ["cat"], ["tee"])
#: A sed's script that puts words in; one that takes out colours, and nothing else, has none to put.
_SED_PUTS_IN = re.compile(
    r"(?:.*;\s*)?(?:\d|,|\$|/[^/]*/)*s([/|#,@!%]).+\1[^/|#,@!%]+\1|.*\b[aic]\\", re.DOTALL
)
ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)\+?=")
SAYS = frozenset({"echo", "printf"})


class Place(msgspec.Struct, frozen=True, gc=False):
    """What a command finds around it: how its end shows in the call's, what stands before it in a pipe."""

    end: int
    piped: bool = False
    #: The text that the command before it in the pipe gives, where that is known.
    fed: str | None = None


class Lists(ABC):
    """Walks lists, pipes and groups; what one command does, says who inherits from this."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.cwd = ""
        self.elsewhere = False
        self._given: dict[str, str] = {}
        self._functions: dict[str, list[Item]] = {}
        self._running: set[str] = set()
        self._said: list[str] = []
        self._marks: list[Mark] = []
        self._depth = 0
        self._left = _PIPES_MAX
        self._errexit = self._pipefail = False
        self._is_over = self._trapped = False
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
        while at < len(items) and not self._is_over and len(self.steps) < STEPS_MAX and self._left > 0:
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
        start, ended, was_over = len(self.steps), None, self._is_over
        for item in items:
            if (item.joined == "||" and ended is True) or (item.joined == "&&" and ended is False):
                continue
            before = self._is_over
            if before and item.joined == "&&" and not was_over:
                continue  # `exit && x`
            ended = self._pipe(item.pipe, part)
            if item.joined == "||" and not before:
                self._is_over = False  # `cd x || exit` does not end what follows
        if part == IF_OK and end == AS_CALL and len(self.steps) == start + 1:
            alone = self.steps[start]
            alone.end = AS_CALL if alone.end == IF_OK else IF_BAD if alone.piped else alone.end

    def _pipe(self, pipe: Pipe, end: int) -> bool | None:
        """Walk a pipe; say how it ends, where its text tells (`true`, `echo`)."""
        self._left -= 1
        if pipe.negated:
            end = NOT_CALL if end == AS_CALL else HIDDEN
        items = pipe.items
        if len(items) == 1:
            start = len(self.steps)
            ended = self._node(items[0], Place(end))
            if len(self.steps) > start or not _only_assigns(items[0]):
                self._last = [(start, len(self.steps))]
            return (None if ended is None else not ended) if pipe.negated else ended
        if not items:
            return None
        ranges: list[tuple[int, int]] = []
        fed: str | None = None
        shown = all(map(_lets_through, items[1:]))
        # A `tail` does not fail: if the call did, its shell lets pipes fail, and what stands before it did.
        inner = IF_BAD if shown and end == AS_CALL else HIDDEN
        if self._pipefail and end in (AS_CALL, IF_OK):
            inner = IF_OK
        for place, item in enumerate(items):
            start = len(self.steps)
            self._node(item, Place(end if place == len(items) - 1 else inner, place > 0, fed))
            ranges.append((start, len(self.steps)))
            fed = _told(item) if isinstance(item, Simple) else None
        self._last = ranges
        first = ranges[0][0]
        for step in self.steps[first : ranges[0][1]]:
            step.piped = step.piped or shown
            step.sifted = not shown
        self._mute_rewritten(items, first, ranges[-1][0])
        if inner == IF_OK and end == AS_CALL and len(self.steps) == first + 1:
            self.steps[first].end = AS_CALL
        return None

    def _mute_rewritten(self, items: list[Node], first: int, end: int) -> None:
        """What a later part may have put other words in the place of, nobody sees."""
        if any(map(_rewrites, items[1:])):
            for step in self.steps[first:end]:
                step.muted = True

    def _node(self, node: Node, place: Place) -> bool | None:
        if isinstance(node, Simple):
            return self._simple(node, place)
        self._group(node, place)
        return None

    def _group(self, node: Group, place: Place) -> None:
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
            self._loop(node, place.end)
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

    def _loop(self, node: Group, end: int) -> None:
        name, values = node.words[0] if node.words else "", node.words[1:]
        plain = [self._expand(value) for value in values if UNKNOWN not in value][:_LOOP_MAX]
        rounds = plain or [UNKNOWN]
        start = len(self.steps)
        for value in rounds:
            self._given[name] = value
            for part in node.parts:
                self._list(part, end if len(rounds) == 1 and plain else HIDDEN)
            self._is_over = False
            if len(self.steps) >= STEPS_MAX or self._left <= 0:
                break
        for step in self.steps[start:]:
            step.again = True

    # --- what one command does ---

    @abstractmethod
    def _simple(self, node: Simple, place: Place) -> bool | None:
        """Walk one command; say how it ends, where its text tells."""

    @abstractmethod
    def _expand(self, word: str) -> str:
        """Give a word with the variables that are known."""

    @abstractmethod
    def _redirected(self, redirects: list[Redirect], end: int, fed: str | None, program: str) -> None:
        """Add the files that outputs go to."""


def _lets_through(node: Node) -> bool:
    """Say whether a part of a pipe shows at least an end of whatever comes in."""
    return (
        isinstance(node, Simple)
        and node.words[:1] in _ENDS_SHOWN
        and not {"-0", "0", "-n0"}.intersection(node.words)
    )


def _rewrites(node: Node) -> bool:
    """Say whether a part of a pipe may put other words in the place of those that come in."""
    words = node.words if isinstance(node, Simple) else []
    if words[:1] in (["sed"], ["gsed"]):
        return "-n" not in words and any(_SED_PUTS_IN.match(word) for word in words[1:])
    return words[:1] in (["perl"], ["tr"], ["python"], ["python3"])


def _only_assigns(node: Node) -> bool:
    return isinstance(node, Simple) and all(map(ASSIGNMENT.match, node.words))


def _told(node: Simple) -> str | None:
    """Give what a command feeds to the next one in a pipe, where its text says so."""
    if not node.words:
        return None
    if node.words[0] == "cat" and len(node.words) == 1:
        return node.body
    if node.words[0] in SAYS:
        text = " ".join(word for word in node.words[1:] if word not in ("-e", "-n", "-E", "%s", "%s\\n"))
        return text.replace("\\n", "\n")
    return None


def _is_word(items: list[Item], *words: str) -> bool:
    """Say whether a list is one bare command."""
    if len(items) != 1 or len(items[0].pipe.items) != 1 or items[0].pipe.negated:
        return False
    node = items[0].pipe.items[0]
    return isinstance(node, Simple) and len(node.words) == 1 and node.words[0] in words
