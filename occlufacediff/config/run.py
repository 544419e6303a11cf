"""Settings of a run: one training with its evaluation and report."""

from __future__ import annotations

from dataclasses import dataclass

from occlufacediff.config.names import NAME


@dataclass(frozen=True)
class RunSettings:
    """Which run of the data set is made. All runs share the data set's preprocessing."""

    #: Name of the run; its models, evaluation and report go to ``results/<dataset>/runs/<name>/``.
    name: str = "main"
    #: Seed of training and evaluation; null: the key ``seed``.
    seed: int | None = None

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise ValueError(f"name: got {self.name!r}, needs letters, digits, '_', '-' and '.'")
        if self.seed is not None and self.seed < 0:
            raise ValueError(f"seed: got {self.seed}, needs 0 or more, or null")
