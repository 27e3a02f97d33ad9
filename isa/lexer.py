"""One line of assembly as tokens, read from left to right, with errors that point at them.

Every error is a MalformedError SYS-Axxx that names line and column:
    A001 a character that begins nothing    A002 no such mnemonic
    A003 no such directive                  A004 no such stream
    A005 no such memory, type or kind       A006 no such field
    A007 something else was expected        A008 a value does not fit
    A009 an operand is missing              A010 no such buffer or layer
    A011 a name given twice                 A012 outside a stream
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from isa.errors import MalformedError

_TOKEN = re.compile(
    r"""(?P<space>\s+)
    |(?P<string>"(?:[^"\\]|\\.)*")
    |(?P<number>0[xX][0-9a-fA-F]+|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|-inf\b)
    |(?P<name>[A-Za-z_][A-Za-z0-9_.]*)
    |(?P<mark>\.\.|>=|[][,:;@=+?!.])""",
    re.VERBOSE,
)
_LONGEST_QUOTE = 60
_INTEGER_BITS = 64


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of a line. `column` counts from 1; kind is name, number, string, mark or end."""

    kind: str
    text: str
    column: int


class Line:
    """The tokens of one line, read from left to right. A `;` outside brackets begins a comment."""

    def __init__(self, text: str, number: int = 1) -> None:
        self.number = number
        self.tokens = list(self._tokens(text))
        self.at = 0

    def _tokens(self, text: str) -> Iterable[Token]:
        place, depth = 0, 0
        while place < len(text):
            match = _TOKEN.match(text, place)
            if match is None or match.lastgroup is None:
                self.refuse("A001", "a line is made of words, numbers and marks",
                            f"{text[place]!r}", Token("mark", "", place + 1))  # fmt: skip
            depth += {"[": 1, "]": -1}.get(match[0], 0)
            if match[0] == ";" and depth == 0:
                break
            if match.lastgroup != "space":
                yield Token(match.lastgroup, match[0], place + 1)
            place = match.end()
        yield Token("end", "", place + 1)

    @property
    def next(self) -> Token:
        """The token to be read next."""
        return self.tokens[self.at]

    def take(self) -> Token:
        """Read a token; the end of the line is read again and again."""
        token = self.tokens[self.at]
        self.at = min(self.at + 1, len(self.tokens) - 1)
        return token

    def accept(self, mark: str) -> bool:
        """Read `mark` if it comes next."""
        if self.next.kind == "mark" and self.next.text == mark:
            self.take()
            return True
        return False

    def expect(self, mark: str) -> None:
        """Read `mark` or fail."""
        if not self.accept(mark):
            self.unexpected(f"{mark!r}")

    def name(self, what: str) -> Token:
        """Read a word."""
        if self.next.kind != "name":
            self.unexpected(what)
        return self.take()

    def integer(self, what: str) -> int:
        """Read a whole number, decimal or hexadecimal."""
        token = self.next
        if token.kind == "number":
            try:
                value = int(token.text, 0)
            except ValueError:
                self.unexpected(what)
            if value.bit_length() > _INTEGER_BITS:
                found = f"one of {value.bit_length()}"
                self.refuse("A008", f"a number has at most {_INTEGER_BITS} bits", found, token)
            self.take()
            return value
        self.unexpected(what)

    def string(self, what: str) -> str:
        """Read a plain or quoted name."""
        token = self.next
        if token.kind == "name":
            return self.take().text
        if token.kind == "string":
            try:
                text = json.loads(token.text)
            except ValueError:
                self.unexpected(what)
            self.take()
            return str(text)
        self.unexpected(what)

    def end(self) -> None:
        """Fail unless the line ends here."""
        if self.next.kind != "end":
            self.unexpected("the end of the line")

    def unexpected(self, wanted: str) -> NoReturn:
        """Fail on the next token."""
        token = self.next
        found = "the line ends" if token.kind == "end" else repr(token.text[:_LONGEST_QUOTE])
        self.refuse("A007", f"here stands {wanted}", found, token)

    def refuse(self, code: str, message: str, found: str, token: Token, hint: str = "") -> NoReturn:
        """Fail at a token."""
        at = f"line {self.number}, column {token.column}"
        raise MalformedError(f"SYS-{code}", message, found=found, at=at, hint=hint)

    def look_up(self, table: Mapping[str, Any], token: Token, code: str, what: str) -> Any:
        """What a word names, or an error that offers the nearest names."""
        if token.text in table:
            return table[token.text]
        near = difflib.get_close_matches(token.text, list(table), n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else ""
        if not near and 0 < len(table) <= 16:
            hint = f"it is one of {', '.join(table)}"
        self.refuse(code, f"{what} has that name", repr(token.text), token, hint)
