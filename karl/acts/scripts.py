"""What a script reads and writes, told from its text: Python, JavaScript, Ruby, Perl and PHP.

Strings and comments are masked first, so that what a script only mentions, or writes into another file, is
not taken for its own doing. Paths are literals, names that a literal was given to, joins of these, the
words of a loop, the arguments of the script, and those that a function of the script is called with.

Invariants:
- Pure and never raises; linear in the text, of which the first SCRIPT_MAX characters are read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Literal, NamedTuple

SCRIPT_MAX = 65_536
#: Files of one script that are told.
_FILES_MAX = 32
_ALTERNATIVES_MAX = 16
#: How far values are followed: through how many others, how many lookups a script, how many of them calls.
_DEPTH_MAX, _LOOKUPS_MAX, _CALLS_MAX = 4, 1000, 24
_VALUE_MAX = 300

_HINTS = (
    "open(",
    "write",
    "fileinput",
    "shutil",
    "os.re",
    "unlink",
    "readFile",
    "appendFile",
    "File.",
    "IO.",
    "file_put",
    "read_",
    "copyFile",
    "renameSync",
    "open my",
    "os.system",
    "subprocess",
    "inplace",
    "rmSync",
    "execSync",
)

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
_ASSIGNED = re.compile(
    r"(?:^|(?<=;))[ \t]*(?:const\s|let\s|var\s|my\s)?[ \t]*([$A-Za-z_]\w*)[ \t]*(?::[ \t]*[\w.]+[ \t]*)?"
    r"=(?!=)[ \t]*([^\n;]{1,300})",
    re.MULTILINE,
)
_LOOP = re.compile(
    r"\bfor\s+([\w, ]{1,60}?)\s+in\s+([^\n:]{1,2000}):"
    r"|\bfor\s*\(\s*(?:const|let|var)\s+(\w+)\s+of\s+([^\n)]{1,1000})\)"
)
_DEF = re.compile(r"\b(?:def|function)\s+(\w+)\s*\(([^()\n]{0,300})\)")
_STRING = re.compile(r"\x02(\d+)\x02")
_IDENTIFIER = re.compile(r"[$A-Za-z_]\w*$")
_WRAPPED = re.compile(
    r"(?:pathlib\.)?(?:Path|PurePath|PosixPath|str|os\.path\.(?:abspath|expanduser|realpath|normpath)|os\.fspath|path\.resolve|path\.normalize)\((.*)\)$",
    re.DOTALL,
)
_JOINED = re.compile(
    r"(?:os\.path\.join|path\.join|path\.resolve|File\.join|Path|pathlib\.Path)\((.*)\)$", re.DOTALL
)
_ARGUMENT = re.compile(r"(sys\.argv|process\.argv|ARGV|\$ARGV|\$argv|args)\[(\d{1,2})\]$")
_BRACED = re.compile(r"\$?\{\s*([A-Za-z_]\w*)\s*(?:[!:][^{}]*)?\}")
_FILE_LIKE = re.compile(r"[^\s'\"<>|*?\x00{}]{1,300}$")

_FLEETING = re.compile(r"tempfile\.|mkdtemp|mkstemp|tmp|[Tt]emp(?!late)|StringIO|BytesIO")
_WORD = re.compile(r"[A-Za-z_]\w*")

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
    """One script: its code with masked strings, and what its names stand for."""

    def __init__(self, text: str, args: tuple[str, ...]) -> None:
        self._args = args
        self._strings: list[str] = []
        self.code = _MASKED.sub(self._mask, text.replace("\x02", " "))
        self._names: dict[str, list[tuple[int, str]]] | None = None
        self._left = _LOOKUPS_MAX
        self._calls_left = _CALLS_MAX

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

    # --- what a value stands for ---

    def _told(self, at: int, action: Action, value: str) -> list[str | None]:
        """Give the paths that a value may be; for an edit that nobody names, null."""
        if action == "shell":
            command = self._command(value)
            return [command] if command else []
        paths = [path for path in self._values(value.strip(), at, 0) if _FILE_LIKE.match(path)]
        if paths:
            return list(dict.fromkeys(paths))
        if action != "edit":
            return []
        return ["/tmp"] if self._is_fleeting(value.strip(), at, 0) else [None]  # noqa: S108 - where such files go

    def _is_fleeting(self, value: str, at: int, depth: int) -> bool:
        """Say whether a value names a temporary file: by what its names were given, or are called."""
        if _FLEETING.search(value):
            return True
        if depth > 3:
            return False
        names = self._names if self._names is not None else self._read_names()
        return any(
            self._is_fleeting(names[name][-1][1], at, depth + 1)
            for name in _WORD.findall(value)[:4]
            if name in names and name != value[:0]
        )

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

    def _text(self, value: str) -> str | None:
        """Give the text of a literal, else null."""
        found = _STRING.fullmatch(value.lstrip("rbuRBUf"))
        return self._strings[int(found[1])] if found and int(found[1]) < len(self._strings) else None

    def _values(self, value: str, at: int, depth: int) -> list[str]:
        """Give the texts that an expression may be at a place; empty where the script does not tell."""
        self._left -= 1
        if depth > _DEPTH_MAX or len(value) > _VALUE_MAX or self._left < 0:
            return []
        value = value.strip()
        literal = self._text(value)
        if literal is not None:
            is_filled = "{" in literal and (value[0] == "f" or "${" in literal)
            return self._filled(literal, at, depth) if is_filled else [literal]
        if _IDENTIFIER.match(value):
            return self._named(value, at, depth)
        if found := _ARGUMENT.match(value):
            return self._argument(found)
        return self._made(value, at, depth)

    def _argument(self, found: re.Match[str]) -> list[str]:
        """Give a word that the script was run with."""
        first = {"sys.argv": 1, "$argv": 1, "process.argv": 2}.get(found[1], 0)
        place = int(found[2]) - first
        return [self._args[place]] if 0 <= place < len(self._args) else []

    def _made(self, value: str, at: int, depth: int) -> list[str]:
        """Give what is made of other values: joined, added, put into a Path."""
        if (found := _WRAPPED.match(value)) and "," not in found[1]:
            return self._values(found[1], at, depth + 1)
        if found := _JOINED.match(value):
            return self._together(found[1].split(","), at, depth, "/")
        if value.startswith("(") and value.endswith(")"):
            return self._values(value[1:-1], at, depth + 1)
        for sign, joint in ((" / ", "/"), ("+", "")):
            if sign in value:
                return self._together(value.split(sign), at, depth, joint)
        return []

    def _together(self, parts: list[str], at: int, depth: int, sign: str) -> list[str]:
        texts: list[str] = []
        for each in parts[:8]:
            part = each.strip()
            if part in (
                "__dirname",
                "os.getcwd()",
                "Path.cwd()",
                "process.cwd()",
                "os.path.dirname(__file__)",
                "Path(__file__).parent",
            ):
                continue
            found = self._values(part, at, depth + 1)
            if not found:
                return []
            texts.append(found[0])
        return [sign.join(texts)] if texts else []

    def _filled(self, text: str, at: int, depth: int) -> list[str]:
        pieces = _BRACED.split(text, 4)  # text, name, text, name, text ...
        for place in range(1, len(pieces), 2):
            found = self._named(pieces[place], at, depth + 1)
            if not found:
                return []
            pieces[place] = found[0]
        text = "".join(pieces)
        return [] if "{" in text else [text]

    def _named(self, name: str, at: int, depth: int) -> list[str]:
        """Give what a name stands for: its last value before this place, else any."""
        names = self._names if self._names is not None else self._read_names()
        given = names.get(name)
        if not given:
            return self._passed(name, at, depth)
        before = [each for each in given if each[0] < at]
        place, value = (before or given)[-1]
        if value.startswith("\x03"):  # the words of a loop or a list
            return [found for each in value[1:].split("\x03") if (found := self._text(each)) is not None][
                :_ALTERNATIVES_MAX
            ]
        return self._values(value, place, depth + 1)

    def _read_names(self) -> dict[str, list[tuple[int, str]]]:
        names: dict[str, list[tuple[int, str]]] = {}
        code = self.code
        for found in _ASSIGNED.finditer(code):
            value = found[2].rstrip().rstrip(",")
            if value.startswith(("[", "(", "{")):
                end = code.find({"[": "]", "(": ")", "{": "}"}[value[0]], found.start(2))
                strings = _STRING.findall(code, found.start(2), end if end > 0 else found.end())
                value = "".join(f"\x03\x02{number}\x02" for number in strings) or value
            names.setdefault(found[1], []).append((found.start(), value))
        self._names = names
        for found in _LOOP.finditer(code):
            name, words = found[1] or found[3], found[2] or found[4]
            given = names.get(words.strip().removesuffix(".items()"))
            if given and given[-1][1].startswith("\x03"):
                value = given[-1][1]
            else:
                value = "".join(f"\x03\x02{number}\x02" for number in _STRING.findall(words))
            if value:
                names.setdefault(name.split(",")[0].strip(), []).append((found.start(), value))
        for each in names.values():
            each.sort(key=lambda place: place[0])
        return names

    def _passed(self, name: str, at: int, depth: int) -> list[str]:
        """Give what a function's parameter was called with, when the name is one."""
        self._calls_left -= 1
        if self._calls_left < 0:
            return []
        around = list(_DEF.finditer(self.code, 0, at))
        for found in reversed(around[-8:]):
            names = [part.split(":")[0].split("=")[0].strip() for part in found[2].split(",")]
            if name not in names:
                continue
            place = names.index(name)
            calls = re.finditer(rf"\b{re.escape(found[1])}\(([^()\n]{{1,400}})", self.code)
            values: list[str] = []
            for call in calls:
                if call.start() in range(found.start(), found.end()):
                    continue
                words = call[1].split(",")
                if place < len(words) and len(values) < _ALTERNATIVES_MAX:
                    values.extend(self._values(words[place].split("=")[-1], call.start(), depth + 1))
            return values
        return []
