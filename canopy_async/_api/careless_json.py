r"""JSON as careless servers write it.

RFC 8259 leaves some of what is in here to whoever reads, and forbids the rest. It
is read all the same, as one value that was written without care must not keep its
whole page from being read:

- A byte order mark before the text is passed over.
- An escaped surrogate without its other half, and a byte that is no UTF-8, become
  the text of an escape, such as ``\ud83d``: that is text, nothing is lost, and two
  values that differ still do.
- ``NaN``, ``Infinity``, ``-Infinity``, and numbers that are too large for a float
  become the floats of these names.
- Of a name that comes twice in one object, the last value counts, as everywhere.
"""

import json
import math
from collections.abc import Callable
from typing import Any, Final, TypeAlias, cast

import msgspec

__all__ = ["Note", "parse"]

Note: TypeAlias = Callable[[str], None]
"""Is told of what was read otherwise than it was written, in a sentence."""

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


def parse(body: bytes, note: Note | None = None) -> Any:
    """Return the value that a text of JSON stands for.

    Args:
        body: UTF-8, as it should be.
        note: Is told once of each kind of value that had to be read with care, and
            where the first one is; a byte order mark is not worth telling. The names
            of fields are those of the server, of any length.

    Raises:
        ValueError: It is no JSON, however it is read; says where.
        RecursionError: It is nested too deeply.
    """
    body = body.removeprefix(_BYTE_ORDER_MARK)
    try:
        return msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        pass  # the reason is looked for below
    care = _Care()
    text = body.decode("utf-8", "surrogateescape")
    value = care.mend(json.loads(text, parse_int=_integer), "")
    if note is not None:
        for kind, path in care.found.items():
            note(f"{path}: {kind}")
    return value


def _integer(digits: str) -> int | float:
    """Return a whole number; an infinite one where Python makes no int of its digits.

    It refuses over 4300 of them, as that would take long.
    """
    try:
        return int(digits)
    except ValueError:
        return float(digits)


class _Care:
    """Mends what is no JSON value.

    Attributes:
        found: The path of the first value of each kind that had to be mended.
    """

    def __init__(self) -> None:
        self.found: Final[dict[str, str]] = {}

    def mend(self, value: Any, path: str) -> Any:
        """Return a value, each text in it one that can be encoded.

        Args:
            value: What was parsed.
            path: Where it stands, down to a field of a row and no deeper: the names
                in ``metadata`` are nobody's business.
        """
        if not value:
            return value
        if isinstance(value, str):
            return self._text(value, path)
        if isinstance(value, dict):
            fields = cast("dict[str, Any]", value)
            return {
                self._text(name, path): self.mend(fields[name], _field(path, name))
                for name in fields
            }
        if isinstance(value, list):
            items = cast("list[object]", value)
            return [self.mend(item, _item(path, n)) for n, item in enumerate(items)]
        if isinstance(value, float) and not math.isfinite(value):
            self.found.setdefault(f"read {value} where there is no number", path)
        return value

    def _text(self, text: str, path: str) -> str:
        if text.isascii():
            return text
        encoded = text.encode("utf-8", "backslashreplace")
        mended = encoded.decode()
        if mended != text:
            what = "read a character that can't be one as the text of its escape"
            self.found.setdefault(what, path)
        return mended


def _field(path: str, name: str) -> str:
    if "." in path:
        return path
    return f"{path}.{name}" if path else name


def _item(path: str, number: int) -> str:
    return path if "." in path else f"{path}[{number}]"
