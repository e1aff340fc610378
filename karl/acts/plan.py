"""A plan: what a shell command would do if it ran, read from its text alone.

It walks the tree of `karl.acts.shell`, follows `cd` and simple variables, looks through programs that run
others, and asks `karl.acts.commands` what each command does. What depends on the turn (folders, scripts that
were written before, outputs) is left to the reader.

Invariants:
- Pure, never raises; at most STEPS_MAX steps and DEPTH_MAX texts in one another.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from karl.acts import commands
from karl.acts.paths import joined
from karl.acts.shell import Redirect, Simple, parse
from karl.acts.steps import AS_CALL, HIDDEN, IF_BAD, STEPS_MAX, Mark, Plan, Step
from karl.acts.tokens import LIVE, UNKNOWN
from karl.acts.walk import ASSIGNMENT, DEPTH_MAX, SAYS, Lists, Place
from karl.acts.words import add_touched
from karl.acts.wrappers import WRAPPERS, inner_of

_WORDS_MAX = 400
_WRAPPED_MAX = 8
_VARIABLES_MAX = 200
_SAID_MAX = 32
#: Characters of a variable, and variables of one word, that are followed.
_VALUE_MAX, _EXPANDED_MAX = 1000, 32
_VARIABLE = re.compile(LIVE + r"(?:\{([A-Za-z_]\w*)[^}]*\}|([A-Za-z_]\w*|[1-9])|\?)")
_STATUS = re.compile(r"\x03(\d+)\x03")
_SHELL_LINE = re.compile(r"#!\s*(?:/usr)?/bin/(?:env\s+)?(?:ba|z|da|k)?sh\b")
_SHELLS = frozenset({"bash", "sh", "zsh", "dash", "ksh", "ash", "fish"})
_TRUE = frozenset({"true", ":"})
#: Variables by which a program gets more options.
_OPTIONS = frozenset({"PYTEST_ADDOPTS", "GOFLAGS", "MAKEFLAGS", "RUFF_ARGS"})
#: What shows an older version of a file: sent to that file, it brings it back.
_OLDER = frozenset({"git show", "git cat-file"})
#: Where other shells send what nobody wants.
_NOTHING = frozenset({"$null", "nul"})
_NOWHERE = frozenset({"/dev/null", "/dev/stdout", "/dev/stderr", "/dev/tty", "-"})


def plan_of(text: str) -> Plan:
    """Give the plan of a command's text."""
    return _Walk().plan(text)


def script_plan(body: str, args: tuple[str, ...], script: str) -> Plan:
    """Give the plan of a script's text that is run with some words; `script` says of which kind it is."""
    walk = _Walk()
    if script == "sh" or _SHELL_LINE.match(body):
        for place, arg in enumerate(args, 1):
            walk.given(str(place), arg)
        return walk.plan(body)
    add_touched(walk, body, args, AS_CALL, script)
    return Plan(tuple(walk.steps), body)


class _Walk(Lists):
    """Walks one text to its end; `steps` grow in the order of doing."""

    def _expand(self, word: str) -> str:
        if LIVE not in word:
            return word
        return _VARIABLE.sub(self._value, word, _EXPANDED_MAX).replace(LIVE, "$")

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

    def _simple(self, node: Simple, place: Place) -> bool | None:
        for inner in node.inner:
            kept = (self.cwd, self._is_over)
            self.within(inner, HIDDEN)
            self.cwd, self._is_over = kept
        words = node.words if len(node.words) <= _WORDS_MAX else node.words[:_WORDS_MAX]
        if LIVE in "".join(words):
            words = [self._expand(word) for word in words]
        words = self._assigned(words)
        start, ended = len(self.steps), None
        if words:
            ended = self._command(words, node, place)
        if node.body is not None and words and not node.redirects:
            self._print(node.body)
        if node.redirects:
            self._mute(node.redirects, start)
            program = " ".join(words[:2]) if words[:1] == ["git"] else words[0] if words else ""
            self._redirected(node.redirects, place.end, self._printed(words, node), program)
        return ended if len(self.steps) == start else None

    def _mute(self, redirects: list[Redirect], start: int) -> None:
        """Mark what prints nothing that anybody sees."""
        for sign, target, number in redirects:
            if sign not in (">", "&>", ">|", ">>", "&>>") or number not in ("", "1"):
                continue
            for step in self.steps[start:]:
                step.muted = step.muted or target == "/dev/null"
                step.into = self.place(self._expand(target))

    def _assigned(self, words: list[str]) -> list[str]:
        """Give a command's words without the variables set before it; without a command, these stay set."""
        at = 0
        while at < len(words) and "=" in words[at] and ASSIGNMENT.match(words[at]):
            at += 1
        if at and at == len(words):
            self._set_variables(words)
            return []
        if at or self._given:
            set_here = [word.partition("=")[::2] for word in words[:at]]
            for name, value in (*set_here, *self._given.items()):
                if name in _OPTIONS:
                    words = [*words, *value.split()]
        return words[at:] if at else words

    def _set_variables(self, words: list[str]) -> None:
        for word in words:
            if (named := ASSIGNMENT.match(word)) and len(self._given) < _VARIABLES_MAX:
                value = word[named.end() :]
                self._given[named[1]] = value[:_VALUE_MAX] if "$()" not in value else UNKNOWN

    def _print(self, text: str) -> None:
        """Note a text that the command may print itself: nobody's result stands in it."""
        if len(self._said) < _SAID_MAX:
            self._said.append(text[:4000])

    def _printed(self, words: list[str], node: Simple) -> str | None:
        """Give what a command puts into the file that it is sent to; null where nobody knows."""
        if not words or words[0] in _TRUE or words == ["cat", "/dev/null"]:
            return ""
        if words[0] == "cat":
            return node.body
        return " ".join(words[1:]) if words[0] in SAYS else None

    def _redirected(self, redirects: list[Redirect], end: int, fed: str | None, program: str) -> None:
        """Files that outputs go to are written."""
        for sign, target, number in redirects:
            if (
                ">" not in sign
                or target in _NOWHERE
                or target.isdigit()
                or not target
                or (sign == ">&" and number)
            ):
                continue
            path = self._expand(target)
            appends = sign.endswith(">>")
            if (
                path.startswith("/dev/")
                or path.lower() in _NOTHING
                or (appends and fed is not None and not fed.strip())
            ):
                continue
            if program in _OLDER and self.steps and self.steps[-1].path == self.place(path):
                self.add(Step("revert", self.place(path), end, program=program))
                continue
            if fed == "" and not appends:
                self.add(Step("delete", self.place(path), end, program=program or None))  # it is emptied
                continue
            self.add(
                Step(
                    "edit",
                    self.place(path),
                    end,
                    added=_lines(fed) if fed else 0,
                    body=fed,
                    program=program or None,
                    appends=appends,
                )
            )

    def add(self, step: Step) -> None:
        """Take a step in, as long as there is room."""
        if len(self.steps) < STEPS_MAX:
            if self._trapped:
                step.end = HIDDEN
            self.steps.append(step)

    def place(self, path: str) -> str:
        """Give a path as it is seen from where the text began."""
        return joined(self.cwd, path)

    def _command(self, words: list[str], node: Simple, place: Place) -> bool | None:
        """Walk one command: itself, or the one that it wraps. Says how it ends where the text tells."""
        kept, self.elsewhere = self.cwd, self._depth > 0 and self.elsewhere
        for _ in range(_WRAPPED_MAX):
            name = words[0].rsplit("/", 1)[-1]
            if name not in WRAPPERS or (inner := inner_of(name, words)) is None:
                break
            if inner.elsewhere:
                self.cwd, self.elsewhere = inner.folder or "", True
            elif inner.folder:
                self.cwd = self.place(inner.folder)
            if inner.text is not None:
                self.within(inner.text, place.end)
                return None
            words = inner.words
        first = len(self.steps)
        ended = self._own(words, node, place)
        if "xargs" in node.words[:3]:
            self._maybe_nothing(first)
        if words is not node.words and words[0] != "cd":
            self.cwd = kept
        return ended

    def _maybe_nothing(self, first: int) -> None:
        """Read tests behind an xargs: where nothing comes in, they end well and did not run."""
        for step in self.steps[first:]:
            if step.check == "test" and step.end == AS_CALL:
                step.end = IF_BAD

    def _own(self, words: list[str], node: Simple, place: Place) -> bool | None:
        """Walk a command that wraps none."""
        name = words[0].rsplit("/", 1)[-1]
        if name in SAYS:
            self._say(words)
            return True
        if name in _TRUE or name == "false":
            return name != "false"
        if name in _BUILTINS:
            _BUILTINS[name](self, words, place.end)
        elif name in self._functions and name not in self._running:
            self._running.add(name)
            self._list(self._functions[name], place.end)
            self._running.discard(name)
            self._is_over = False
        elif not self._texts(name, words, node, place):
            if "-c" in words[:-1]:
                self._print(words[words.index("-c") + 1])
            fed = node.body if node.body is not None else place.fed
            if node.redirects and any(each[:2] == ("<", "/dev/null") for each in node.redirects):
                fed = ""
            commands.read(self, words, place.end, piped=place.piped, fed=fed)
        return None

    def _texts(self, name: str, words: list[str], node: Simple, place: Place) -> bool:
        """Walk the text that a command is given to run; says whether there was one."""
        if name in _SHELLS:
            return self._shell(words, node, place)
        if name == "eval":
            self.within(" ".join(words[1:]), place.end)
        elif name == "ssh" and (command := commands.ssh_command(words, node.body)):
            kept, self.cwd, self.elsewhere = self.cwd, "~", True
            self.within(command, place.end)
            self.cwd = kept
        elif name == "su" and "-c" in words[:-1]:
            self.within(words[words.index("-c") + 1], place.end)
        else:
            return False
        return True

    def leave(self, words: list[str], end: int) -> None:
        """End the list that stands here: `exit`, `return`. A status that is given on is the call's."""
        self._is_over = True
        given = _STATUS.fullmatch(words[1] if len(words) > 1 else self._status(-1))
        if given is not None and end == AS_CALL:
            self.steps[int(given[1])].end = AS_CALL

    def export(self, words: list[str], _: int) -> None:
        """Set the variables of an `export`."""
        self._set_variables(words[1:])

    def trap(self, words: list[str], _: int) -> None:
        """Read a trap: one that ends the shell by an `exit` hides how all that follows ends."""
        if words[-1:] in (["EXIT"], ["0"]) and any("exit" in word for word in words[1:-1]):
            self._trapped = True

    def tie(self, words: list[str], _: int) -> None:
        """Read a `hash -p PROGRAM NAME`: the name is that program."""
        if words[1:2] == ["-p"] and len(words) > 3 and len(self._functions) < _VARIABLES_MAX:
            self._functions[words[3]] = parse(words[2])

    def alias(self, words: list[str], _: int) -> None:
        """Give a name another meaning."""
        for word in words[1:]:
            name, sign, meaning = word.partition("=")
            if sign and len(self._functions) < _VARIABLES_MAX:
                self._functions[name] = parse(meaning)

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

    def go(self, words: list[str], _: int) -> None:
        """Go where a `cd` goes."""
        to = next((word for word in words[1:] if not word.startswith("-") or word == "-"), "~")
        if words[0] == "popd" or to == "-":
            self.cwd = self._folders[-2] if len(self._folders) > 1 else ""
            return
        self.cwd = self.place(to)
        self.cwd = "" if self.cwd == "." else self.cwd
        if len(self._folders) < 32:
            self._folders.append(self.cwd)

    def options(self, words: list[str], _: int) -> None:
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

    def _shell(self, words: list[str], node: Simple, place: Place) -> bool:
        """Walk what a shell is given to run; says whether that was a text."""
        for at, word in enumerate(words[1:], 1):
            if word == "-n":
                return False  # it is read, and not run
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


_BUILTINS: dict[str, Callable[[_Walk, list[str], int], None]] = {
    **dict.fromkeys(("cd", "pushd", "popd"), _Walk.go),
    **dict.fromkeys(("exit", "return"), _Walk.leave),
    **dict.fromkeys(("export", "declare", "local", "readonly", "typeset"), _Walk.export),
    "set": _Walk.options,
    "alias": _Walk.alias,
    "hash": _Walk.tie,
    "trap": _Walk.trap,
}


def _lines(text: str) -> int:
    return text.count("\n") + (not text.endswith("\n")) if text else 0
