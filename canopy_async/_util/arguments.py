"""Checks of arguments; each error names the argument and what is allowed."""

import inspect
import sys
import unicodedata
from collections.abc import Collection
from datetime import datetime
from typing import Any, Final, Literal, TypeAlias

__all__ = [
    "MAX_SEGMENT",
    "OnError",
    "Order",
    "Status",
    "check_callback",
    "check_choice",
    "check_flag",
    "check_instant",
    "check_integer",
    "check_seconds",
    "check_segment",
    "check_text",
    "check_type",
    "fault_of_callback",
    "returns_coroutine",
]


Order: TypeAlias = Literal["asc", "desc"]
Status: TypeAlias = Literal["active", "inactive"]
OnError: TypeAlias = Literal["raise", "collect"]


def check_callback(name: str, value: Any) -> Any:
    """Return ``value`` if it is a plain function, or an object that acts as one.

    Raises:
        TypeError: It can't be called, is a class, or is async.
    """
    fault = fault_of_callback(value)
    if fault is not None:
        raise TypeError(f"{name} must be a plain function, {fault}")
    return value


def fault_of_callback(value: Any) -> str | None:
    """Return why ``value`` is no plain function, in words; None if it is one."""
    if isinstance(value, type):
        return f"not the class {value.__name__}"
    if not callable(value):
        return f"not {type(value).__name__}"
    if returns_coroutine(value):
        return "not an async one: it is not awaited"
    return None


def returns_coroutine(value: Any) -> bool:
    """Tell whether a function, or an object that can be called, is an async one."""
    is_async = inspect.iscoroutinefunction
    return is_async(value) or is_async(value.__call__)


MAX_SEGMENT: Final = 1_000
"""The longest id that a URL may hold, in characters."""


def check_integer(
    name: str, value: Any, *, minimum: int, maximum: int | None = None
) -> int:
    """Return ``value`` if it is an int from ``minimum`` to ``maximum``.

    Raises:
        TypeError: It is not an int, or is a bool.
        ValueError: It is out of bounds.
    """
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} must be an int, not {type(value).__name__}")
    if value < minimum or (maximum is not None and value > maximum):
        allowed = (
            f"{minimum} or more" if maximum is None else f"from {minimum} to {maximum}"
        )
        raise ValueError(f"{name} must be {allowed}, not {value}")
    return value


def check_seconds(name: str, value: Any) -> float:
    """Return ``value`` as a float if it is a finite number above zero.

    Raises:
        TypeError: It is not a number.
        ValueError: It is zero, negative, infinite or NaN.
    """
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise TypeError(f"{name} must be a number, not {type(value).__name__}")
    if not 0 < value <= sys.float_info.max:
        raise ValueError(f"{name} must be a finite number above 0, not {value}")
    return float(value)


def check_text(name: str, value: Any) -> str:
    """Return ``value`` if it is a str that UTF-8 can encode.

    Raises:
        TypeError: It is not a str.
        ValueError: It holds a lone surrogate.
    """
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a str, not {type(value).__name__}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(
            f"{name} must be valid Unicode, without lone surrogates"
        ) from None
    return value


def check_type(name: str, value: Any, cls: type) -> None:
    """Check that ``value`` is an instance of ``cls``.

    Raises:
        TypeError: It is not an instance of ``cls``.
    """
    if not isinstance(value, cls):
        raise TypeError(f"{name} must be a {cls.__name__}, not {type(value).__name__}")


def check_flag(name: str, value: Any) -> bool:
    """Return ``value`` if it is a bool.

    Raises:
        TypeError: It is not a bool.
    """
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, not {type(value).__name__}")
    return value


def check_instant(name: str, value: Any) -> datetime:
    """Return ``value`` if it is a datetime with a UTC offset.

    Raises:
        TypeError: It is not a datetime.
        ValueError: It is naive: it has no UTC offset.
    """
    if not isinstance(value, datetime):
        raise TypeError(f"{name} must be a datetime, not {type(value).__name__}")
    if value.utcoffset() is None:
        raise ValueError(f"{name} must have a UTC offset: it is naive")
    return value


def check_segment(name: str, value: Any) -> str:
    """Return ``value`` if it can be one segment of a URL's path.

    Every character except control characters is allowed, also a slash: the URL is
    percent-encoded later.

    Raises:
        TypeError: It is not a str.
        ValueError: It is empty, ``.``, ``..``, longer than `MAX_SEGMENT` characters,
            or holds a control character.
    """
    text = check_text(name, value)
    if text in {"", ".", ".."}:
        raise ValueError(f"{name} must not be empty, '.' or '..', got {text!r}")
    if len(text) > MAX_SEGMENT:
        raise ValueError(
            f"{name} must have at most {MAX_SEGMENT} characters, not {len(text)}"
        )
    is_printable = text.isprintable()  # fast, and true of almost every id
    if not is_printable and any(unicodedata.category(one) == "Cc" for one in text):
        raise ValueError(f"{name} must not hold control characters")
    return text


def check_choice(name: str, value: Any, choices: Collection[str]) -> str:
    """Return ``value`` if it is one of ``choices``.

    Raises:
        TypeError: It is not a str.
        ValueError: It is not among the choices.
    """
    text = check_text(name, value)
    if text not in choices:
        allowed = ", ".join(repr(choice) for choice in sorted(choices))
        raise ValueError(f"{name} must be one of {allowed}, not {text!r}")
    return text
