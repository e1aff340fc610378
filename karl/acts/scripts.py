"""What a script reads and writes, told from its text: Python, JavaScript, Ruby, Perl and PHP.

Strings and comments are masked first, so that what a script only mentions, or writes into another file, is
not taken for its own doing. What a path may be, `karl.acts.values` says.

Invariants:
- Pure and never raises; linear in the text, of which the first SCRIPT_MAX characters are read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Literal, NamedTuple

from karl.acts.values import Values

SCRIPT_MAX = 65_536
#: Files of one script that are told.
_FILES_MAX = 32

#: In a script without any of these, no file is touched.
_HINTS = (
    "open(", "write", "fileinput", "shutil", "os.re", "unlink", "readFile", "appendFile", "File.", "IO.",
    "file_put", "read_", "copyFile", "renameSync", "open my", "os.system", "subprocess", "inplace",
    "rmSync", "execSync",
)  # fmt: skip

_MASKED = re.compile(
    r'"""(?:[^"\\]++|\\.|"(?!""))*+(?:""")?|'
    r"'''(?:[^'\\]++|\\.|'(?!''))*+(?:''')?"
    r'|"(?:[^"\\\n]++|\\.)*+"'
    r"|'(?:[^'\\\n]++|\\.)*+'"
    r"|`(?:[^`\\]++|\\.)*+`|\#[^\n]*|//[^\n]*|/\*(?:[^*]++|\*(?!/))*+\*/",
    re.DOTALL,
)

#: A value that may name a file: masked strings are \x02N\x02.
_VALUE = r"((?:[^,()\n;=]|\([^()\n]{0,200}\)){1,200}?)"
_OPEN = re.compile(
    rf"(?<![\w.])(?:io\.|codecs\.|os\.fd|builtins\.)?open\(\s*{_VALUE}\s*(?:,\s*(?:mode\s*=\s*)?([^,()\n]{{0,60}}))?[,)]"
)
_METHOD = re.compile(
    r"\.\s{0,20}(write_text|write_bytes|read_text|read_bytes|unlink|open|touch)\(\s{0,20}([^,()\n]{0,30})"
)
_OWNER = re.compile(r"(?:Path\(([^()\n]{1,200})\)|([\w.\[\]\x02]{1,80}|\([^()\n]{1,200}\)))\s{0,20}$")
_CALLS = (
    r"shutil\.(?:copy|copy2|copyfile|move)|os\.(?:rename|replace|remove|unlink)|fileinput\.(?:input|FileInput)"
    r"|(?:(?:fs|fsp|fs\.promises|promises)\.)?(?:writeFile|appendFile|readFile|copyFile|rename|unlink|rm)Sync"
    r"|(?:fs|fsp|fs\.promises|promises)\.(?:writeFile|appendFile|readFile|createWriteStream)|(?:write|read)File"
    r"|Deno\.(?:write|read)TextFile(?:Sync)?|Bun\.(?:write|file)|unlink|file_put_contents|file_get_contents"
    r"|File\.(?:write|read|open|delete|readlines|foreach|binwrite)|IO\.(?:write|read|readlines)"
    r"|FileUtils\.(?:cp|mv|rm)"
)
_CALL = re.compile(
    rf"\b({_CALLS})\s{{0,20}}\(\s{{0,20}}{_VALUE}\s{{0,20}}(?:,\s{{0,20}}([^,()\n]{{0,200}}))?[,)]"
)
_PERL_OPEN = re.compile(r"\bopen\s*\(?\s*(?:my\s+)?[$\w]+\s*,\s*(\x02\d+\x02)\s*,\s*([$\w\x02]+)")
_SHELL_CALL = re.compile(
    r"\b(?:os\.system|os\.popen|subprocess\.(?:run|call|check_call|check_output|Popen|getoutput)|execSync"
    r"|child_process\.exec(?:Sync)?|system)\(\s{0,20}(\[[^\]\n]{0,500}\]|f?\x02\d+\x02)"
)
_FILE_LIKE = re.compile(r"[^\s'\"<>|*?\x00{}]{1,300}$")
#: A word for a script that looks like a file: a tool whose edit nobody can follow edits this one.
_GIVEN = re.compile(r"(?!-)[^\s'\"<>|*?\x00{}()=;,:\\]{1,300}\.[A-Za-z]\w{0,9}$")
#: Words that tell a tool of several uses to show a file.
_SHOWING = frozenset({"view", "show", "print", "cat", "read", "search", "find", "grep", "list"})

Action = Literal["read", "edit", "delete", "shell"]


class Touched(NamedTuple):
    """A file that a script reads, edits or deletes; for `shell`, `path` is the command that it runs.

    `path` is null where the script does not tell it.
    """

    action: Action
    path: str | None


@lru_cache(maxsize=512)
def touched(text: str, args: tuple[str, ...] = ()) -> tuple[Touched, ...]:
    """Say what a script does to files, in the order of its text; `args` are the words that it is run with."""
    if len(text) > SCRIPT_MAX:
        text = text[:SCRIPT_MAX]
    if not any(hint in text for hint in _HINTS):
        return ()
    return tuple(_Script(text, args).files())


class _Script:
    """One script: its code with masked strings, and what its values stand for."""

    def __init__(self, text: str, args: tuple[str, ...]) -> None:
        self._strings: list[str] = []
        self.code = _MASKED.sub(self._mask, text.replace("\x02", " "))
        self._values = Values(self.code, self._strings, args)
        self._text = self._values.text
        self._given = next((arg for arg in args if _GIVEN.match(arg)), None)
        self._shows = any(arg in _SHOWING and arg in self._strings for arg in args)

    def _mask(self, found: re.Match[str]) -> str:
        text = found[0]
        if text[0] in "#/":
            return ""
        width = 3 if text[:3] in ('"""', "'''") else 1
        self._strings.append(text[width:-width] if len(text) >= 2 * width else "")
        return f"\x02{len(self._strings) - 1}\x02"

    def files(self) -> list[Touched]:
        """Give what is touched, each file of one action once."""
        places: list[tuple[int, Action, str]] = []
        code = self.code
        if "open(" in code:
            places.extend(self._opened())
        if "." in code:
            places.extend(self._methods())
            places.extend(self._calls())
        if "open" in code:
            places.extend(
                (found.start(), "edit" if ">" in (self._text(found[1]) or "") else "read", found[2])
                for found in _PERL_OPEN.finditer(code)
            )
        if "os.system" in code or "subprocess" in code or "xec" in code or "system(" in code:
            places.extend((found.start(), "shell", found[1]) for found in _SHELL_CALL.finditer(code))
        places.sort(key=lambda place: place[0])
        seen: dict[Touched, None] = {}
        for at, action, value in places[: _FILES_MAX * 4]:
            if self._shows and action == "edit":
                continue
            for path in self._told(at, action, value):
                if len(seen) < _FILES_MAX:
                    seen.setdefault(Touched(action, path))
        return list(seen)

    def _opened(self) -> Iterator[tuple[int, Action, str]]:
        for found in _OPEN.finditer(self.code):
            mode = self._text((found[2] or "").strip())
            if mode is None and found[2] and "File" in self.code[found.start() - 6 : found.start()]:
                continue
            writes = mode is not None and len(mode) <= 4 and not {"w", "a", "x", "+"}.isdisjoint(mode)
            yield found.start(), "edit" if writes else "read", found[1]

    def _methods(self) -> Iterator[tuple[int, Action, str]]:
        for found in _METHOD.finditer(self.code):
            start = max(0, found.start() - 240)
            owned = _OWNER.search(self.code, start, found.start())
            if owned is None:
                continue
            owner, done = owned[1] or owned[2], found[1]
            if done == "open":
                mode = self._text(found[2].strip())
                if (
                    owner
                    in ("io", "codecs", "os", "builtins", "File", "gzip", "zipfile", "Image", "webbrowser")
                    or mode is None
                ):
                    continue
                yield found.start(), "read" if {"w", "a", "x", "+"}.isdisjoint(mode) else "edit", owner
            elif done == "unlink":
                if owner != "os":
                    yield found.start(), "delete", owner
            else:
                yield found.start(), "read" if done.startswith("read") else "edit", owner

    def _calls(self) -> Iterator[tuple[int, Action, str]]:
        for found in _CALL.finditer(self.code):
            done, first, second = found[1].rsplit(".", 1)[-1], found[2], found[3] or ""
            at = found.start()
            if done in ("copy", "copy2", "copyfile", "copyFileSync", "cp"):
                yield at, "edit", second
            elif done in ("move", "rename", "replace", "renameSync", "mv"):
                yield at, "delete", first
                yield at, "edit", second
            elif done in ("remove", "unlink", "unlinkSync", "rmSync", "delete", "rm"):
                yield at, "delete", first
            elif done in ("input", "FileInput"):
                yield at, "edit" if "inplace" in self.code[at : at + 300] else "read", first
            elif done == "open":
                mode = self._text(second.strip()) or "r"
                yield at, "read" if {"w", "a", "+"}.isdisjoint(mode) else "edit", first
            else:
                writes = "rite" in done or "append" in done or done == "file_put_contents"
                yield at, "edit" if writes else "read", first

    def _told(self, at: int, action: Action, value: str) -> list[str | None]:
        """Give the paths that a value may be; for an edit that nobody names, null."""
        if action == "shell":
            command = self._command(value)
            return [command] if command else []
        paths = [path for path in self._values.of(value.strip(), at) if _FILE_LIKE.match(path)]
        if paths:
            return list(dict.fromkeys(paths))
        if action != "edit":
            return []
        if self._values.is_fleeting(value.strip()):
            return ["/tmp"]  # noqa: S108 - where such files go
        return [self._given]

    def _command(self, value: str) -> str | None:
        if value.startswith("["):
            given = [word.strip() for word in value[1:-1].split(",")]
            words = ["python" if word == "sys.executable" else self._text(word) for word in given if word]
            if not words or any(word is None for word in words):
                return None
            return " ".join(
                f"'{word}'" if not (word or " ").isalnum() and "'" not in (word or "") else word or "''"
                for word in words
            )
        return self._text(value.lstrip("f"))
