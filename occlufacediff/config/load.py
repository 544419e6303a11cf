"""Configuration in: every key checked once, at the start, with one message that names key, value and remedy."""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
from collections.abc import Mapping
from functools import cache
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError

from occlufacediff.config.schema import Config
from occlufacediff.config.section import section_type
from occlufacediff.errors import ConfigError

#: Where someone may have put the secret itself: their values are never shown.
_UNSHOWN = ("download.token_command", "download.token_variable", "download.user_variable", "download.password_variable")
WHERE = "config/README.md explains every key, config/default.yaml has every default"


def load_config(raw: Mapping[str, Any]) -> Config:
    """The typed configuration of plain mappings, lists and values, as YAML gives them.

    Every key of the schema must be there (``config/default.yaml`` lies under every other file), and none beside.

    Raises:
        ConfigError: a key is missing, unknown, of the wrong type or out of range.
    """
    _check_keys(Config, raw, "")
    _check_finite(raw, "")
    try:
        text = json.dumps(raw)
    except TypeError as error:
        raise ConfigError(f"Configuration: a value has a type that no key takes ({error}). {WHERE}.") from None
    try:
        # JSON's strict mode: lists become tuples, whole numbers become floats, and nothing else is guessed.
        return _adapter().validate_json(text, strict=True)
    except ValidationError as error:
        raise ConfigError(_message(error.errors()[0], raw)) from None


@cache
def _adapter() -> TypeAdapter[Config]:
    return TypeAdapter(Config)


def _message(problem: Any, raw: Mapping[str, Any]) -> str:
    """One line of the first problem: the key's full name, what was found, what is needed."""
    keys: list[str] = []
    value: Any = raw
    for part in problem["loc"]:
        # Parts that are no key name a branch of a union.
        if isinstance(value, Mapping) and part in value:
            value = value[part]
            keys.append(f".{part}" if keys else str(part))
        elif isinstance(value, list) and isinstance(part, int) and part < len(value):
            value = value[part]
            keys.append(f"[{part}]")
    name = "".join(keys)
    if problem["type"] == "value_error":
        # Our own checks name the field, the value and the need.
        text = str(problem["ctx"]["error"])
        return f"Configuration, {name}.{text}. {WHERE}." if name else f"Configuration, {text}. {WHERE}."
    need = problem["msg"][0].lower() + problem["msg"][1:]
    if name.partition("[")[0] in _UNSHOWN:
        return f"Configuration, {name}: got something else (not shown here), but {need}. {WHERE}."
    return f"Configuration, {name}: got {value!r}, but {need}. {WHERE}."


def _check_finite(value: Any, name: str) -> None:
    """Demand that all numbers, however deep, are finite: a comparison with NaN holds for no limit."""
    if isinstance(value, Mapping):
        for key, below in value.items():
            _check_finite(below, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list | tuple):
        for place, below in enumerate(value):
            _check_finite(below, f"{name}[{place}]")
    elif isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"Configuration, {name}: got {value!r}, needs a finite number. {WHERE}.")


def _check_keys(kind: Any, raw: Any, prefix: str) -> None:
    """Demand exactly the fields of dataclass ``kind``, in it and in all sections below."""
    if not isinstance(raw, Mapping):
        raise ConfigError(
            f"Configuration, {prefix.rstrip('.') or 'the file'}: got {raw!r}, needs keys and values. {WHERE}."
        )
    hints = get_type_hints(kind)
    names = [field.name for field in dataclasses.fields(kind)]
    for key in raw:
        if key not in names:
            near = difflib.get_close_matches(str(key), names, n=1)
            remedy = f"did you mean {prefix}{near[0]}?" if near else f"the keys are: {', '.join(names)}."
            raise ConfigError(f"Configuration, {prefix}{key}: there is no such key; {remedy} {WHERE}.")
    for name in names:
        if name not in raw:
            raise ConfigError(
                f"Configuration, {prefix}{name}: the key is missing; take it from config/default.yaml. {WHERE}."
            )
        below = section_type(hints[name])
        if below is not None and raw[name] is not None:
            _check_keys(below, raw[name], f"{prefix}{name}.")
