"""Conversion of configuration sections to plain values and back. Standard library only: every script needs it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from occlufacediff.config.constraints import Secret

T = TypeVar("T")

#: Stands for the value of a secret key.
NOT_SHOWN = "(not shown)"


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


def secret_keys(kind: type) -> frozenset[str]:
    """Full names of the keys of a section, and of sections in it, that are marked as `Secret`."""
    found: set[str] = set()
    for name, hint in get_type_hints(kind, include_extras=True).items():
        if any(isinstance(mark, Secret) for mark in getattr(hint, "__metadata__", ())):
            found.add(name)
        below = section_type(hint)
        found |= {f"{name}.{key}" for key in secret_keys(below)} if below is not None else set()
    return frozenset(found)


def redacted(kind: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration without the values of its `Secret` keys, to be shown."""
    secrets = secret_keys(kind)

    def shown(part: Mapping[str, Any], prefix: str) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for name, value in part.items():
            if prefix + name in secrets:
                made[name] = NOT_SHOWN
            else:
                made[name] = shown(value, f"{prefix}{name}.") if isinstance(value, Mapping) else value
        return made

    return shown(values, "")


def _is_tuple(hint: Any) -> bool:
    return any(get_origin(part) is tuple for part in (hint, *get_args(hint)))
