"""The shell's grammar, as far as it says which commands a text runs: text in, a tree of commands out.

Quotes, substitutions, heredocs, redirections, lists, pipes, groups, conditions, loops and functions are
followed; arithmetic, tests and patterns are passed over. A text that no shell would take is read as far
as it goes.

Invariants:
- Pure and never raises; the work is linear in the text, of which the first TEXT_MAX characters are read.
- In a word, LIVE stands for a `$` that the shell would expand; a `$` is one that it would not.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from karl.acts.tokens import LIVE, NEWLINE, TEXT_MAX, UNKNOWN, Token, Tokens

#: How deep groups, conditions and loops may stand in one another.
_DEPTH_MAX = 40
_OPENERS = frozenset({"if", "while", "until", "for", "select", "case", "{", "(", "function", "[["})
_ENDS = frozenset({"then", "elif", "else", "fi", "do", "done", "esac", "}", ")", ";;", ";&", ";;&"})


class Redirect(NamedTuple):
    """`sign` without the descriptor's number (`>`, `>>`, `<`, `<<` ...), and what it points to."""

    sign: str
    target: str
    number: str = ""


class Simple(msgspec.Struct, frozen=True, gc=False):
    """A command: its words, redirections, the text of its heredoc, and the texts of its substitutions."""

    words: list[str]
    redirects: list[Redirect]
    body: str | None
    inner: list[str]


class Pipe(msgspec.Struct, frozen=True, gc=False):
    """Commands whose outputs feed each other."""

    items: list[Node]
    negated: bool


class Item(msgspec.Struct, frozen=True, gc=False):
    """A part of a list: how it is joined to the one before (`;`, `&&` or `||`)."""

    joined: str
    pipe: Pipe
    background: bool


class Group(msgspec.Struct, frozen=True, gc=False):
    """A compound. `kind` is `(`, `{`, `if`, `while`, `for`, `case` or `function`.

    `parts` are its lists in the order of the text; an if's are condition, body, ..., else. `words` are a
    loop's words with its variable first, or a function's name.
    """

    kind: str
    parts: list[list[Item]]
    words: list[str]
    redirects: list[Redirect]
    body: str | None


Node = Simple | Group


def parse(text: str) -> list[Item]:
    """Take a text apart into the list of its commands."""
    if len(text) > TEXT_MAX:
        text = text[:TEXT_MAX]
    if LIVE in text:
        text = text.replace(LIVE, " ")
    tokens = Tokens(text)
    tokens.read()
    return _Parser(tokens).items(0)


class _Parser:
    """Reads tokens into lists, from left to right, each once."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens, self._at = tokens.all, 0
        self._bodies, self._inner = tokens.bodies, tokens.inner

    def items(self, depth: int, ends: frozenset[str] | None = None) -> list[Item]:
        """Read a list up to a word or sign that ends it, or to the end of the text."""
        items: list[Item] = []
        joined = ";"
        while self._at < len(self._tokens):
            token = self._tokens[self._at]
            if token.kind == "o" and token.text in ("\n", ";", "&"):
                self._at += 1
                joined = ";" if token.text != "\n" or joined == ";" else joined
                continue
            if token.bare and token.text in _ENDS and token.kind != "r":
                if ends is not None and token.text in ends:
                    break
                self._at += 1  # an end that nothing has begun
                continue
            pipe = self._pipe(depth)
            sign = self._sign()
            items.append(Item(joined, pipe, sign == "&"))
            joined = sign if sign in ("&&", "||") else ";"
        return items

    def _sign(self) -> str:
        """Take the operator that joins the next pipe, if one stands here."""
        if self._at < len(self._tokens):
            token = self._tokens[self._at]
            if token.kind == "o" and token.text in ("&&", "||", ";", "&", "\n"):
                self._at += 1
                return token.text
        return ";"

    def _pipe(self, depth: int) -> Pipe:
        items: list[Node] = []
        negated = False
        while self._at < len(self._tokens):
            token = self._tokens[self._at]
            if token.kind == "w" and token.text == "!" and token.bare:
                negated = not negated
                self._at += 1
                continue
            items.append(self._command(token, depth))
            if self._at >= len(self._tokens) or self._tokens[self._at].text not in ("|", "|&"):
                break
            if self._tokens[self._at].kind != "o":
                break
            self._at += 1
            self._skip_newlines()
        return Pipe(items, negated)

    def _skip_newlines(self) -> None:
        while self._at < len(self._tokens) and self._tokens[self._at] is NEWLINE:
            self._at += 1

    def _command(self, token: Token, depth: int) -> Node:
        if token.kind != "r" and token.text in _OPENERS and (token.bare or token.text == "[["):
            if depth < _DEPTH_MAX:
                return self._compound(token.text, depth + 1)
            self._at += 1
        return self._simple(depth)

    def _compound(self, kind: str, depth: int) -> Node:
        self._at += 1
        if kind == "[[":
            return self._condition()
        words: list[str] = []
        parts: list[list[Item]] = []
        if kind == "(":
            parts = [self._until(depth, ")")]
        elif kind == "{":
            parts = [self._until(depth, "}")]
        elif kind == "function":
            return self._function(self._words()[:1], depth)
        elif kind == "case":
            parts = self._cases(depth)
        elif kind == "if":
            parts = self._branches(depth)
        else:
            if kind in ("for", "select"):
                words = self._words()
                kind = "for"
            else:
                parts, kind = [self.items(depth, frozenset({"do"}))], "while"
            self._skip_signs()
            self._take("do")
            parts.append(self._until(depth, "done"))
        redirects: list[Redirect] = []
        body = self._redirects(redirects)
        return Group(kind, parts, words, redirects, body)

    def _condition(self) -> Node:
        """Pass over a test: it may hold signs that join nothing."""
        inner: list[str] = []
        if self._tokens[self._at - 1].bare:
            while self._at < len(self._tokens):
                token = self._tokens[self._at]
                inner.extend(self._inner.get(self._at, ()))
                if token is NEWLINE:
                    break
                self._at += 1
                if token.text == "]]":
                    break
        return Simple(["[["], [], None, inner)

    def _until(self, depth: int, end: str) -> list[Item]:
        items = self.items(depth, frozenset({end}))
        self._take(end)
        return items

    def _take(self, text: str) -> bool:
        if self._at < len(self._tokens) and self._tokens[self._at].text == text:
            self._at += 1
            return True
        return False

    def _skip_signs(self) -> None:
        while self._at < len(self._tokens) and self._tokens[self._at].text in ("\n", ";"):
            self._at += 1

    def _words(self) -> list[str]:
        """Take the words that stand here, without an `in` between the first and the others."""
        words: list[str] = []
        while self._at < len(self._tokens) and (token := self._tokens[self._at]).kind == "w":
            if token.text in ("do", "{") and token.bare:
                break
            if len(words) != 1 or token.text != "in":
                words.append(UNKNOWN if self._at in self._inner else token.text)
            self._at += 1
        return words

    def _branches(self, depth: int) -> list[list[Item]]:
        parts = [self.items(depth, frozenset({"then"}))]
        ends = frozenset({"elif", "else", "fi", "then"})
        while self._at < len(self._tokens):
            mark = self._tokens[self._at].text
            self._at += 1
            if mark == "fi":
                break
            parts.append(self.items(depth, ends))
        return parts

    def _cases(self, depth: int) -> list[list[Item]]:
        parts: list[list[Item]] = []
        ends = frozenset({";;", ";&", ";;&", "esac"})
        while self._at < len(self._tokens) and self._tokens[self._at].text != "in":
            self._at += 1
        self._at += 1
        while self._at < len(self._tokens) and not self._take("esac"):
            while self._at < len(self._tokens) and self._tokens[self._at].text not in (")", "esac"):
                self._at += 1
            if not self._take(")"):
                continue
            parts.append(self.items(depth, ends))
            while self._at < len(self._tokens) and self._tokens[self._at].text in (";;", ";&", ";;&", "\n"):
                self._at += 1
        return parts

    def _function(self, words: list[str], depth: int) -> Node:
        while self._at < len(self._tokens) and self._tokens[self._at].text in ("(", ")", "\n"):
            self._at += 1
        body = self._until(depth, "}") if self._take("{") else []
        return Group("function", [body], words, [], None)

    def _simple(self, depth: int) -> Node:
        words: list[str] = []
        redirects: list[Redirect] = []
        inner: list[str] = []
        body: str | None = None
        tokens, size = self._tokens, len(self._tokens)
        while self._at < size:
            token = tokens[self._at]
            if token.kind == "w":
                if self._inner and self._at in self._inner:
                    inner.extend(self._inner[self._at])
                words.append(token.text)
                self._at += 1
            elif token.kind == "r":
                body = self._redirect(redirects, body)
            elif token.text == "(" and len(words) == 1 and not inner:
                return self._function(words, depth)
            else:
                break
        if not words and not redirects:
            self._at += 1  # a sign that fits nowhere
        return Simple(words, redirects, body, inner)

    def _redirects(self, redirects: list[Redirect]) -> str | None:
        body: str | None = None
        while self._at < len(self._tokens) and self._tokens[self._at].kind == "r":
            body = self._redirect(redirects, body)
        return body

    def _redirect(self, redirects: list[Redirect], body: str | None) -> str | None:
        """Take a redirection and its target; give the text that it feeds, if it is a heredoc."""
        sign, self._at = self._tokens[self._at], self._at + 1
        if self._at >= len(self._tokens) or self._tokens[self._at].kind != "w":
            return body
        target = self._tokens[self._at].text
        place, self._at = self._at, self._at + 1
        if sign.text in ("<<", "<<-"):
            return self._bodies.get(place, body)
        if sign.text == "<<<":
            return target
        redirects.append(Redirect(sign.text, target, sign.number))
        return body
