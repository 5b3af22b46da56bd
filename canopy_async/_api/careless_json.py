r"""JSON as careless servers write it.

RFC 8259 leaves the meaning of some of these values to the reader, and forbids the
others. They are read all the same: one careless value must not make its whole page
unreadable.

- A byte order mark before the text is skipped.
- An escaped surrogate without its other half, and a byte that is not UTF-8, become
  the text of an escape, such as ``\ud83d``. The result is valid text, nothing is lost,
  and different values stay different.
- ``NaN``, ``Infinity``, ``-Infinity``, and numbers that are too large for a float
  become the floats of these names.
- If an object has a name twice, the last value counts, as with other JSON readers.
"""

import json
import math
from collections.abc import Callable
from typing import Any, Final, TypeAlias, cast

import msgspec

__all__ = ["Note", "parse"]

Note: TypeAlias = Callable[[str], None]
"""A function that gets a sentence about a value that was read with a change."""

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


def parse(body: bytes, note: Note | None = None) -> Any:
    """Parse JSON, also with the careless values that the module describes.

    Args:
        body: The JSON, which should be UTF-8.
        note: Called once for each kind of careless value, with the place of the first
            one; a byte order mark is not reported. The sentence has field names of
            the server, of any length.

    Raises:
        ValueError: The text is not JSON, even if read with care; says where.
        RecursionError: The JSON is nested too deeply.
    """
    body = body.removeprefix(_BYTE_ORDER_MARK)
    try:
        return msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        pass  # read with care, below
    care = _Care()
    text = body.decode("utf-8", "surrogateescape")
    value = care.mend(json.loads(text, parse_int=_integer), "")
    if note is not None:
        for kind, path in care.found.items():
            note(f"{path}: {kind}")
    return value


def _integer(digits: str) -> int | float:
    """Return a whole number, or infinity if it has too many digits.

    Python refuses to convert more than 4300 digits, because that would take long.
    """
    try:
        return int(digits)
    except ValueError:
        return float(digits)


class _Care:
    """Replaces values that JSON does not have, and remembers where they were.

    Attributes:
        found: The path of the first value of each kind that had to be mended.
    """

    def __init__(self) -> None:
        self.found: Final[dict[str, str]] = {}

    def mend(self, value: Any, path: str) -> Any:
        """Return a value in which every text can be encoded.

        Args:
            value: The parsed value.
            path: Its place, down to a field of a row and no deeper: names inside
                ``metadata`` may be personal data, and are not told.
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
