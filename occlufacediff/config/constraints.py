"""Ranges and formats of configuration values, as metadata of types; pydantic checks them. Standard library only."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from occlufacediff.config.names import NAME


class Section:
    """Base of all settings: unknown keys and numbers that are not finite are errors."""

    __pydantic_config__ = {"extra": "forbid", "allow_inf_nan": False}  # noqa: RUF012


@dataclass(frozen=True)
class Limits:
    """Bounds of a number or of the length of a list: ``Annotated[float, Limits(0.5, 5)]`` is 0.5 to 5, inclusive."""

    ge: float | None = None
    le: float | None = None
    gt: float | None = None
    lt: float | None = None
    multiple_of: int | None = None
    min_length: int | None = None

    def __get_pydantic_core_schema__(self, source: Any, handler: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        """Called by pydantic for the annotated type."""
        limits = {name: value for name, value in dataclasses.asdict(self).items() if value is not None}
        return handler(source) | limits


@dataclass(frozen=True)
class Rule:
    """A check of one value, with the words that complete ``Input should be ...``."""

    holds: Callable[[Any], bool]
    need: str

    def __get_pydantic_core_schema__(self, source: Any, handler: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        """Called by pydantic for the annotated type."""
        function = {"type": "no-info", "function": self._check}
        return {"type": "function-after", "function": function, "schema": handler(source)}

    def _check(self, value: Any) -> Any:
        if not self.holds(value):
            raise ValueError(self.need)
        return value


@dataclass(frozen=True)
class Secret:
    """Marks a key that may hold a secret: messages, logs and reports do not show its value."""


Positive = Annotated[float, Limits(gt=0)]
NotNegative = Annotated[float, Limits(ge=0)]
#: A fraction or a probability.
Fraction = Annotated[float, Limits(0, 1)]
BelowOne = Annotated[float, Limits(ge=0, lt=1)]
Count = Annotated[int, Limits(ge=1)]
CountOrZero = Annotated[int, Limits(ge=0)]
#: H.264's constant rate factor.
RateFactor = Annotated[int, Limits(0, 51)]
#: Edge of a picture for H.264 4:2:0, in pixels.
EvenPixels = Annotated[int, Limits(ge=64, multiple_of=2)]
SolverSteps = Annotated[int, Limits(1, 1000)]
GuidanceWeight = Annotated[float, Limits(-20, 20)]
#: A seed that torch and numpy accept.
Seed = Annotated[int, Limits(0, 2**63 - 1)]
#: For lists without repeated entries; after `Limits` in `Annotated`.
DISTINCT = Rule(lambda entries: len(set(entries)) == len(entries), "a list without repeated entries")
#: A name of a data set, subject or run, which becomes a folder or file.
Name = Annotated[str, Rule(lambda name: bool(NAME.fullmatch(name)), "a name of letters, digits, '_', '-' and '.'")]
