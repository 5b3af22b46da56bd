"""The public cattrs converter, and pages read row by row with it.

The converter is slower than the decoder of `canopy_async._api.decoding`, but its errors
name the row and the field that break the contract.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar, cast

import attrs
import cattrs
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

from canopy_async._api.careless_json import parse
from canopy_async._util.instants import parse_instant
from canopy_async.errors import ProtocolError
from canopy_async.models import (
    AuditEvent,
    AwareDatetime,
    CursorMeta,
    CursorPage,
    EventDetail,
    Identity,
    OpenEnum,
    Page,
    PageMeta,
)

__all__ = ["converter", "make_converter", "structure_detail", "structure_page"]

T = TypeVar("T")


def make_converter() -> cattrs.Converter:
    """Return a new converter for the models, strict and without coercion.

    ``"false"`` is not a bool, ``1`` is not a str, and a datetime must have an
    offset. Unknown fields are kept in ``extra`` and put back beside the known
    ones when unstructured.
    """
    made = cattrs.Converter()
    for scalar in (str, int, float, bool):
        made.register_structure_hook(scalar, _exactly(scalar))
    # For the class: class hooks win over predicates, and an open enum is a str.
    made.register_structure_hook(OpenEnum, _structure_enum)
    made.register_unstructure_hook(OpenEnum, str)
    made.register_structure_hook_func(_is_json_object, _structure_object)
    made.register_structure_hook_func(_is_datetime, _structure_datetime)
    made.register_unstructure_hook_func(_is_datetime, _unstructure_datetime)
    for row in (AuditEvent, Identity):
        _register_row(made, row)
    return made


def structure_page(
    row: type[T],
    body: bytes,
    *,
    page: int,
    content_type: str | None = None,
    envelope: type[Any] = Page,
) -> Page[T]:
    """Return the page in ``body``, or explain what is wrong with it.

    Args:
        row: The class of the rows.
        body: UTF-8 JSON.
        page: The page that was asked for, named in errors.
        content_type: The ``Content-Type`` of the answer, quoted if it is not JSON.
        envelope: The class of the page.

    Raises:
        ProtocolError: Names the page, the row and the field.
    """
    fields = _object_in(body, page=page, content_type=content_type)
    items = fields.get("items")
    if not isinstance(items, list):
        raise ProtocolError("expected an array", page=page, path="items")
    meta_type: type[Any] = CursorMeta if envelope is CursorPage else PageMeta
    meta: Any = _structure(meta_type, fields.get("pagination"), "pagination", page)
    made: Any = cast("Any", envelope)(
        items=tuple(
            _structure(row, item, f"items[{index}]", page)
            for index, item in enumerate(cast("list[object]", items))
        ),
        pagination=meta,
    )
    return cast("Page[T]", made)


def structure_detail(body: bytes, *, content_type: str | None = None) -> EventDetail:
    """Return the event in ``body`` with its relations, wrapped in ``data`` or bare.

    Args:
        body: UTF-8 JSON.
        content_type: The ``Content-Type`` of the answer, quoted if it is not JSON.

    Raises:
        ProtocolError: Names the row and the field.
    """
    fields = _object_in(body, page=None, content_type=content_type)
    data = fields.get("data")
    prefix = ""
    if isinstance(data, dict):
        fields, prefix = cast("dict[str, Any]", data), "data."
    lists: dict[str, tuple[AuditEvent, ...]] = {}
    for name in ("related_by_correlation", "related_by_actor"):
        found = fields.pop(name, None)
        if found is not None and not isinstance(found, list):
            raise ProtocolError("expected an array", path=prefix + name)
        lists[name] = tuple(
            _structure(AuditEvent, item, f"{prefix}{name}[{index}]", None)
            for index, item in enumerate(cast("list[object]", found or []))
        )
    event = _structure(AuditEvent, fields, prefix.rstrip("."), None)
    return EventDetail(event=event, **lists)


def _object_in(
    body: bytes, *, page: int | None, content_type: str | None
) -> dict[str, Any]:
    """Return the JSON object that an answer holds.

    Raises:
        ProtocolError: The answer does not hold a JSON object.
    """
    try:
        envelope = parse(body)
    except ValueError as error:
        called = f" (Content-Type: {content_type})" if content_type else ""
        fault = str(error) if body.strip() else "the body is empty"
        raise ProtocolError(f"not JSON{called}: {fault}", page=page) from None
    except RecursionError:
        raise ProtocolError("nested too deeply", page=page) from None
    if not isinstance(envelope, dict):
        raise ProtocolError("expected an object", page=page)
    return cast("dict[str, Any]", envelope)


def _structure(cls: type[T], value: Any, path: str, page: int | None) -> T:
    if not isinstance(value, dict):
        raise ProtocolError("expected an object", page=page, path=path)
    try:
        return converter.structure(value, cls)
    except (cattrs.BaseValidationError, ValueError, TypeError) as error:
        fault = cattrs.transform_error(error, path=path, format_exception=_explain)[0]
    except RecursionError:
        fault = f"nested too deeply @ {path}"
    message, _, where = fault.rpartition(" @ ")
    raise ProtocolError(message, page=page, path=where.removeprefix("."))


def _explain(error: BaseException, _type: Any) -> str:
    if isinstance(error, KeyError):
        return "required field is missing"
    return str(error)


def _exactly(scalar: type[T]) -> Callable[[Any, Any], T]:
    def structure(value: Any, _type: Any) -> T:
        # To Python a bool is an int; in JSON it is not.
        if type(value) is not scalar:
            raise TypeError(_expected(scalar.__name__, value))
        return value

    return structure


def _structure_object(value: Any, _type: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(_expected("object", value))
    return cast("dict[str, Any]", value)


def _structure_datetime(value: Any, _type: Any) -> datetime:
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value
    if not isinstance(value, str):
        raise TypeError(_expected("RFC 3339 str", value))
    return parse_instant(value)


def _unstructure_datetime(value: datetime) -> str:
    text = value.isoformat()
    return text.removesuffix("+00:00") + "Z" if value.utcoffset() == _ZERO else text


_ZERO: Final = timedelta(0)


def _is_json_object(cls: Any) -> bool:
    return bool(cls == dict[str, Any])


def _is_datetime(cls: Any) -> bool:
    return cls is datetime or cls == AwareDatetime


def _structure_enum(value: Any, cls: type[OpenEnum]) -> OpenEnum:
    if not isinstance(value, str):
        raise TypeError(_expected("str", value))
    return cls(value)


def _expected(wanted: str, value: Any) -> str:
    return f"expected {wanted}, got {'null' if value is None else type(value).__name__}"


def _register_row(made: cattrs.Converter, row: Any) -> None:
    known = {field.name for field in attrs.fields(row)} - {"extra"}
    structure = make_dict_structure_fn(row, made, extra=override(omit=True))
    unstructure = make_dict_unstructure_fn(row, made, extra=override(omit=True))

    def structure_row(value: Any, cls: Any) -> Any:
        if not isinstance(value, dict):
            raise TypeError(_expected("object", value))
        fields = cast("dict[str, Any]", value)
        extra = {name: fields[name] for name in fields if name not in known}
        made_row = structure(fields, cls)
        return attrs.evolve(made_row, extra=extra) if extra else made_row

    def unstructure_row(value: Any) -> dict[str, Any]:
        return {**value.extra, **unstructure(value)}

    made.register_structure_hook(row, structure_row)
    made.register_unstructure_hook(row, unstructure_row)


converter: Final = make_converter()
"""The converter of this library; treat it as read-only, or make your own."""
