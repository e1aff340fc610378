"""The shell's tokens: a text cut into words, redirections and operators, with quotes taken off.

Invariants:
- Pure and never raises; the work is linear in the text, of which the first TEXT_MAX characters are read.
- In a word, LIVE stands for a `$` that the shell would expand; a `$` is one that it would not.
"""

from __future__ import annotations

import re

import msgspec

#: Characters of a command that are looked at.
TEXT_MAX = 65_536
#: Tokens of a command that are looked at: real ones have some dozens.
_MAX = 6000
LIVE = "\x01"
#: Stands in a word for what a command substitution or arithmetic would give.
UNKNOWN = f"{LIVE}()"

_BLANK = re.compile(r"(?:[ \t\r]|\\\n)+")
_PLAIN = re.compile(r"[^\s'\"\\$`|&;<>()\x01]++")
_DOUBLE = re.compile(r'"((?:[^"\\$`]++|\\.)*+)"', re.DOTALL)
_DOUBLE_PART = re.compile(r'(?:[^"\\$`]++|\\.)++', re.DOTALL)
_ANSI = re.compile(r"'((?:[^'\\]++|\\.)*+)'?", re.DOTALL)
_NAME = re.compile(r"[A-Za-z_]\w*|[?@*#!0-9$-]")
_REDIRECT = re.compile(r"&>>?|\d{0,3}(?:<<<|<<-?|<>|<&|>>|>\||>&|[<>](?!\())")
_OPERATOR = re.compile(r"&&|\|\||;;&?|;&|\|&|[|&;()\n]")
_ESCAPED = re.compile(r'\\([\\"$`\n])')
_INSIDE = re.compile(r"""['"\\()`\n]|<<<|<<-?|(?<=\s)#""")
_DELIMITER = re.compile(r"""[ \t]*(?:'([^'\n]*)'|"([^"\n]*)"|\\?([^\s'"\\|&;<>()]+))""")
_ANSI_ESCAPES = {"\\n": "\n", "\\t": "\t", "\\'": "'", '\\"': '"', "\\\\": "\\"}
_ANSI_ESCAPE = re.compile(r"\\[nt'\"\\]")


class Token(msgspec.Struct, frozen=True, gc=False):
    kind: str  # w: word, r: redirection, o: operator
    text: str
    bare: bool = True
    number: str = ""


NEWLINE = Token("o", "\n")


class Tokens:
    """Cuts a text into tokens, and keeps heredocs and substitutions beside them, by the token's place."""

    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0
        self.all: list[Token] = []
        self.bodies: dict[int, str] = {}
        self.inner: dict[int, list[str]] = {}
        self._waiting: list[tuple[int, bool]] = []  # the places of heredocs' delimiters, and whether `<<-`
        self._sums_end = text.rfind("))")  # behind it, no arithmetic can end: nobody looks for it again

    def read(self) -> None:
        text, size, tokens = self.text, len(self.text), self.all
        blank, plain, operator, redirect = _BLANK.match, _PLAIN.match, _OPERATOR.match, _REDIRECT.match
        while self.at < size and len(tokens) < _MAX:
            at = self.at
            char = text[at]
            if char == " ":
                self.at = at + 1
            elif char in "\t\\\r" and (found := blank(text, at)):
                self.at = found.end()
            elif char in "<>&0123456789" and (found := redirect(text, at)):
                self.at = found.end()
                sign = found[0]
                number = sign.rstrip("<>&|-") if sign[0] not in "<>&" else ""
                tokens.append(Token("r", sign[len(number) :], True, number))
            elif char in "|&;()\n" and (found := operator(text, at)):
                self._operator(found[0], at)
            elif char == "#":
                end = text.find("\n", at)
                self.at = size if end < 0 else end
            elif (found := plain(text, at)) and ((end := found.end()) == size or text[end] in " \n\t;|&)"):
                self.at = end
                tokens.append(Token("w", found[0]))
                if len(tokens) > 1 and tokens[-2].kind == "r":
                    self._note_heredoc()
            else:
                self._word()
        if self._waiting:
            self._heredocs()

    def _operator(self, sign: str, at: int) -> None:
        if sign == "(" and at < self._sums_end and self.text.startswith("((", at):
            self.at = self.text.find("))", at) + 2
            self.all.append(Token("w", "[[", False))
            return
        self.at = at + len(sign)
        if sign == "\n":
            self.all.append(NEWLINE)
            if self._waiting:
                self._heredocs()
        else:
            self.all.append(Token("o", sign))

    def _note_heredoc(self) -> None:
        """Note a word that ends a heredoc, if it stands behind the sign of one."""
        if len(self.all) > 1 and self.all[-2].kind == "r" and self.all[-2].text in ("<<", "<<-"):
            self._waiting.append((len(self.all) - 1, self.all[-2].text == "<<-"))

    def _heredocs(self) -> None:
        for place, tabs in self._waiting:
            start = self.at
            end, self.at = _heredoc_end(self.text, start, self.all[place].text, tabs=tabs)
            self.bodies[place] = self.text[start:end]
        self._waiting.clear()

    def _word(self) -> None:
        """Read a word that has quotes or expansions in it."""
        text, size, start = self.text, len(self.text), self.at
        parts: list[str] = []
        bare = True
        while self.at < size:
            if found := _PLAIN.match(text, self.at):
                parts.append(found[0])
                self.at = found.end()
                continue
            quoted = self._special(parts)
            if quoted is None:
                break
            bare = bare and not quoted
        if self.at == start:  # nothing that a word may begin with, such as a lone `>`
            self.at += 1
            return
        self.all.append(Token("w", "".join(parts), bare))
        self._note_heredoc()

    def _special(self, parts: list[str]) -> bool | None:
        """Read a part of a word that is no plain text; says whether it was quoted, null at the word's end."""
        text, at = self.text, self.at
        char = text[at]
        if char == "'":
            end = text.find("'", at + 1)
            end = len(text) if end < 0 else end
            parts.append(text[at + 1 : end])
            self.at = end + 1
        elif char == '"':
            self._double(parts)
        elif char == "\\":
            if text[at + 1 : at + 2] != "\n":
                parts.append(text[at + 1 : at + 2])
            self.at = at + 2
        elif char in "$`":
            self._dollar(parts, quoted=False)
            return False
        elif char in "<>" and text.startswith("(", at + 1):
            self._substitution(parts, at + 2)
            return False
        else:
            return None
        return True

    def _double(self, parts: list[str]) -> None:
        text, size = self.text, len(self.text)
        if found := _DOUBLE.match(text, self.at):
            parts.append(_unescape(found[1]))
            self.at = found.end()
            return
        self.at += 1
        while self.at < size and text[self.at] != '"':
            if found := _DOUBLE_PART.match(text, self.at):
                parts.append(_unescape(found[0]))
                self.at = found.end()
            elif text[self.at] in "$`":
                self._dollar(parts, quoted=True)
            else:
                self.at += 1
        self.at += 1

    def _dollar(self, parts: list[str], *, quoted: bool) -> None:
        """Read what a `$` or a backtick begins."""
        text, at = self.text, self.at
        if text[at] == "`":
            end = text.find("`", at + 1)
            end = len(text) if end < 0 else end
            self._keep(text[at + 1 : end])
            parts.append(UNKNOWN)
            self.at = end + 1
        elif at < self._sums_end and text.startswith("((", at + 1):
            parts.append(UNKNOWN)
            self.at = text.find("))", at) + 2
        elif text.startswith("(", at + 1):
            self._substitution(parts, at + 2)
        elif text.startswith("{", at + 1):
            end = text.find("}", at)
            end = len(text) if end < 0 else end
            parts.append(LIVE + text[at + 1 : end + 1])
            self.at = end + 1
        elif text.startswith("'", at + 1) and not quoted and (found := _ANSI.match(text, at + 1)):
            parts.append(_ANSI_ESCAPE.sub(lambda each: _ANSI_ESCAPES[each[0]], found[1]))
            self.at = found.end()
        else:
            found = _NAME.match(text, at + 1)
            parts.append(LIVE + found[0] if found else "$")
            self.at = found.end() if found else at + 1

    def _substitution(self, parts: list[str], start: int) -> None:
        end = _closing(self.text, start)
        self._keep(self.text[start:end])
        parts.append(UNKNOWN)
        self.at = end + 1

    def _keep(self, inner: str) -> None:
        if inner and not inner.isspace():
            self.inner.setdefault(len(self.all), []).append(inner)


def _unescape(text: str) -> str:
    if "\\" not in text:
        return text
    return _ESCAPED.sub(lambda found: "" if found[1] == "\n" else found[1], text)


def _heredoc_end(text: str, start: int, delimiter: str, *, tabs: bool) -> tuple[int, int]:
    """Find where a heredoc's text ends, and where the line after its delimiter begins."""
    at = start
    while True:
        if at == start and text.startswith(delimiter, at):
            found = at
        else:
            found = text.find(("" if tabs else "\n") + delimiter, at)
            if found < 0:
                return len(text), len(text)
            found += 0 if tabs else 1
        after = found + len(delimiter)
        line = text.rfind("\n", start, found) + 1 if tabs else found
        line = start if tabs and line == 0 else line
        if (after == len(text) or text[after] in "\r\n)") and (not tabs or not text[line:found].strip("\t")):
            end = text.find("\n", after)
            return max(line - 1, start), after if text[after : after + 1] == ")" or end < 0 else end
        at = found + 1


def _closing(text: str, at: int) -> int:
    """Find the `)` that closes a substitution whose text begins at `at`; the end where none does."""
    stack = ["("]
    heredoc: tuple[str, bool] | None = None
    while at < len(text) and (found := _INSIDE.search(text, at)):
        sign, at = found[0], found.end()
        if sign == "\\":
            at += 1
        elif stack[-1] == '"':
            if sign == '"':
                stack.pop()
            elif sign == "(" and text[found.start() - 1] == "$":
                stack.append(sign)
        elif sign in '("':
            stack.append(sign)
        elif sign == ")":
            stack.pop()
            if not stack:
                return found.start()
        elif sign[0] == "<":
            heredoc = _delimited(text, at, sign)
        else:
            at = _after(text, sign, at, heredoc)
            heredoc = None if sign == "\n" else heredoc
    return len(text)


def _delimited(text: str, at: int, sign: str) -> tuple[str, bool] | None:
    """Give a heredoc's delimiter, and whether tabs may stand before it; null for a `<<<`."""
    named = _DELIMITER.match(text, at) if sign != "<<<" else None
    return (named[1] or named[2] or named[3] or "", sign == "<<-") if named else None


def _after(text: str, sign: str, at: int, heredoc: tuple[str, bool] | None) -> int:
    """Pass over a quoted part, a comment, or the heredoc that a line's end begins."""
    if sign in "'`":
        return text.find(sign, at) + 1 or len(text)
    if sign == "#":
        end = text.find("\n", at)
        return len(text) if end < 0 else end
    if sign == "\n" and heredoc is not None:
        return _heredoc_end(text, at, heredoc[0], tabs=heredoc[1])[1]
    return at
