"""Conversion of configuration sections to plain values and back. Standard library only: every script needs it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

T = TypeVar("T")


def as_params(settings: Any) -> dict[str, Any]:
    """Convert a section (a dataclass) to plain values for a rule's params, which trigger reruns when they change."""
    return dataclasses.asdict(settings)


def from_params(kind: type[T], params: Mapping[str, Any]) -> T:
    """Convert the values of :func:`as_params` to a section of type ``kind``; lists become tuples."""
    hints = get_type_hints(kind)
    values: dict[str, Any] = {}
    for name, value in params.items():
        below = section_type(hints[name])
        if below is not None and value is not None:
            values[name] = from_params(below, value)
        else:
            values[name] = tuple(value) if _is_tuple(hints[name]) and value is not None else value
    return kind(**values)


def section_type(hint: Any) -> type | None:
    """The dataclass in the type of a field (``X`` or ``X | None``); None if the field is a plain value."""
    for part in (hint, *get_args(hint)):
        if isinstance(part, type) and dataclasses.is_dataclass(part):
            return part
    return None


def _is_tuple(hint: Any) -> bool:
    return any(get_origin(part) is tuple for part in (hint, *get_args(hint)))
