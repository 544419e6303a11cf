"""Sections of the configuration as plain values and back; standard library only, every script needs it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

T = TypeVar("T")


def as_params(settings: Any) -> dict[str, Any]:
    """A section (a dataclass) as plain values for a rule's params: Snakemake compares these to decide about a rerun."""
    return dataclasses.asdict(settings)


def from_params(kind: type[T], params: Mapping[str, Any]) -> T:
    """A section of type ``kind`` from what :func:`as_params` gave, whether or not its tuples have become lists."""
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
    """The dataclass in the type of a field (``X`` or ``X | None``); none where the field holds a value."""
    for part in (hint, *get_args(hint)):
        if isinstance(part, type) and dataclasses.is_dataclass(part):
            return part
    return None


def _is_tuple(hint: Any) -> bool:
    return any(get_origin(part) is tuple for part in (hint, *get_args(hint)))
