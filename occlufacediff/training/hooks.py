"""What a training does besides updating weights: validation by sampling, and snapshots."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from occlufacediff.training.meter import Row


@dataclass(frozen=True)
class Openings:
    """Mouth openings of validation windows, in millimetres.

    Attributes:
        truth: (N, T).
        sampled: (N, T).
    """

    truth: Tensor
    sampled: Tensor


@dataclass(frozen=True)
class TrainingRecord:
    """What a training reports, at its end or in a snapshot.

    Attributes:
        rows: rows of history.csv.
        schedule: see `Progress.schedule`.
        step: optimizer steps behind the weights.
        best: see `Progress.best`, where these weights are the best; else None.
    """

    rows: list[Row]
    schedule: list[dict[str, int]]
    step: int = 0
    best: dict[str, object] | None = None


@dataclass(frozen=True)
class Hooks:
    """Functions that the loop calls in the first process, with the EMA weights in the network.

    Attributes:
        sampled: gives the error of sampled lips, in millimetres, and the openings to be drawn; None: no sampling.
        snapshot: writes the network as a checkpoint; None: there are no snapshots.
        has_snapshot: whether the snapshot of a step exists.
        set_aside: moves snapshots of another training out of the way; called where this one starts from step 0.
    """

    sampled: Callable[[], tuple[float, Openings]] | None = None
    snapshot: Callable[[TrainingRecord], None] | None = None
    has_snapshot: Callable[[int], bool] = lambda step: True
    set_aside: Callable[[], object] = lambda: None
