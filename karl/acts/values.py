"""What an expression of a script stands for, as far as its text tells: the texts that it may be.

Strings are masked in the code: a number between two characters 2 is their place. Followed are names that
were given a value, joins and sums, filled strings, the words of loops, the words that the script is run
with, and what functions of the script are called with.

Invariants:
- Pure and never raises; every way of following is bounded, whatever the script says.
"""

from __future__ import annotations

import re

_ALTERNATIVES_MAX = 16
#: How far values are followed: through how many others, how many lookups a script, how many of them calls.
_DEPTH_MAX, _LOOKUPS_MAX, _CALLS_MAX = 4, 1000, 24
_VALUE_MAX = 300

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
#: A field of what argparse or its like has read, and how its positional words were announced.
_FIELD = re.compile(r"(?:args|opts|options|ns|parsed|arguments|namespace)\.(\w{1,40})$")
_ANNOUNCED = re.compile(r"\.add_argument\(\s{0,20}(\x02\d+\x02)")
_UNPACKED = re.compile(r"^[ \t]*([\w, ]{1,80}?)[ \t]*=[ \t]*sys\.argv(\[1:\d?\])?[ \t]*$", re.MULTILINE)
_BRACED = re.compile(r"\$?\{\s*([A-Za-z_]\w*)\s*(?:[!:][^{}]*)?\}")
_FLEETING = re.compile(r"tempfile\.|mkdtemp|mkstemp|tmp|[Tt]emp(?!late)|StringIO|BytesIO")
_WORD = re.compile(r"[A-Za-z_]\w*")


class Values:
    """The values of one script."""

    def __init__(self, code: str, strings: list[str], args: tuple[str, ...]) -> None:
        self.code, self._strings, self._args = code, strings, args
        self._names: dict[str, list[tuple[int, str]]] | None = None
        self._left = _LOOKUPS_MAX
        self._calls_left = _CALLS_MAX

    def of(self, value: str, at: int) -> list[str]:
        """Give the texts that an expression may be at a place of the code; empty where nothing tells."""
        return self._values(value, at, 0)

    def is_fleeting(self, value: str) -> bool:
        """Say whether a value names a temporary file: by what its names were given, or are called."""
        return self._is_fleeting(value, 0)

    def _is_fleeting(self, value: str, depth: int) -> bool:
        if _FLEETING.search(value):
            return True
        if depth > 3:
            return False
        names = self._names if self._names is not None else self._read_names()
        return any(
            self._is_fleeting(names[name][-1][1], depth + 1)
            for name in _WORD.findall(value)[:4]
            if name in names
        )

    def text(self, value: str) -> str | None:
        """Give the text of a literal, else null."""
        found = _STRING.fullmatch(value.lstrip("rbuRBUf"))
        return self._strings[int(found[1])] if found and int(found[1]) < len(self._strings) else None

    def _values(self, value: str, at: int, depth: int) -> list[str]:
        """Give the texts that an expression may be at a place; empty where the script does not tell."""
        self._left -= 1
        if depth > _DEPTH_MAX or len(value) > _VALUE_MAX or self._left < 0:
            return []
        value = value.strip()
        literal = self.text(value)
        if literal is not None:
            is_filled = "{" in literal and (value[0] == "f" or "${" in literal)
            return self._filled(literal, at, depth) if is_filled else [literal]
        if _IDENTIFIER.match(value):
            return self._named(value, at, depth)
        if found := _ARGUMENT.match(value):
            return self._argument(found)
        if found := _FIELD.match(value):
            return self._field(found[1])
        return self._made(value, at, depth)

    def _argument(self, found: re.Match[str]) -> list[str]:
        """Give a word that the script was run with."""
        first = {"sys.argv": 1, "$argv": 1, "process.argv": 2}.get(found[1], 0)
        place = int(found[2]) - first
        return [self._args[place]] if 0 <= place < len(self._args) else []

    def _field(self, name: str) -> list[str]:
        """Give a word that the script was run with, by the name under which it reads it."""
        for at, arg in enumerate(self._args):
            flag, sign, value = arg.partition("=")
            if flag.lstrip("-").replace("-", "_") == name and flag.startswith("-"):
                return [value] if sign else list(self._args[at + 1 : at + 2])
        announced = [self.text(each) or "" for each in _ANNOUNCED.findall(self.code)]
        names = [each.replace("-", "_") for each in announced if not each.startswith("-")]
        words = [arg for arg in self._args if not arg.startswith("-")]
        place = names.index(name) if name in names else len(words)
        return words[place : place + 1]

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
            return [found for each in value[1:].split("\x03") if (found := self.text(each)) is not None][
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
        if self._args and "sys.argv" in code:
            self._read_words(names)
        for found in _LOOP.finditer(code):
            name, words = found[1] or found[3], found[2] or found[4]
            given = names.get(words.strip().removesuffix(".items()"))
            if given and given[-1][1].startswith("\x03"):
                value = given[-1][1]
            elif words.strip().startswith("sys.argv[1"):
                self._strings.extend(self._args)
                last = len(self._strings)
                value = "".join(f"\x03\x02{at}\x02" for at in range(last - len(self._args), last))
            else:
                value = "".join(f"\x03\x02{number}\x02" for number in _STRING.findall(words))
            if value:
                names.setdefault(name.split(",")[0].strip(), []).append((found.start(), value))
        for each in names.values():
            each.sort(key=lambda place: place[0])
        return names

    def _read_words(self, names: dict[str, list[tuple[int, str]]]) -> None:
        """Take in what the words of the command are unpacked into: `a, b = sys.argv[1:]`."""
        for found in _UNPACKED.finditer(self.code):
            shift = 0 if found[2] else -1
            for place, name in enumerate(found[1].split(","), shift):
                if 0 <= place < len(self._args):
                    self._strings.append(self._args[place])
                    names.setdefault(name.strip(), []).append(
                        (found.start(), f"\x02{len(self._strings) - 1}\x02")
                    )

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
