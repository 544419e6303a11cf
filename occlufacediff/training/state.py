"""The saved state of a training, and whether another training may resume from it."""

from __future__ import annotations

import pickle
import sys
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from occlufacediff.errors import AssetError
from occlufacediff.files import written_aside
from occlufacediff.storage import faults_named
from occlufacediff.training.meter import Row

#: Folder of the state in a checkpoint's folder.
RESUME = "resume"
#: Subfolder for files of another training.
REPLACED = "replaced"
#: Settings of the loop that leave the course of the weights unchanged, or change it by rounding, or, ``compile``, by
#: other draws of dropout. ``max_steps`` is compared separately.
FREE_SETTINGS = (
    "max_steps",
    "epochs",
    "max_minutes",
    "validate_every",
    "save_every",
    "loader_workers",
    "compile",
    "fused",
    "skip_limit",
    "devices",
    "nodes",
    "snapshots",
    "keep",
    "early_stop",
    "trackers",
)


@dataclass(frozen=True)
class Course:
    """All that determines the weights after a number of steps; a state is resumed only on an equal course.

    Attributes:
        settings: values by dotted name, without `FREE_SETTINGS`.
        inputs: digests by what they are of: clips, head, code, ...
    """

    settings: dict[str, str]
    inputs: dict[str, str]

    @classmethod
    def of(cls, settings: Any, inputs: Mapping[str, str]) -> Course:
        """The course of a training with the settings ``settings``, a dataclass with a field ``loop``."""
        free = {f"loop.{name}" for name in FREE_SETTINGS} | {"sampled.windows", "sampled.steps"}
        values = {name: repr(value) for name, value in _flat(asdict(settings)).items() if name not in free}
        return cls(values, dict(inputs))

    def changes(self, before: Course) -> list[str]:
        """How this course differs from an earlier one, one phrase each."""
        names = sorted(set(self.settings) | set(before.settings))
        found = [
            f"{name} is {self.settings.get(name)}, was {before.settings.get(name)}"
            for name in names
            if self.settings.get(name) != before.settings.get(name)
        ]
        inputs = sorted(set(self.inputs) | set(before.inputs))
        return found + [f"other {name}" for name in inputs if self.inputs.get(name) != before.inputs.get(name)]


@dataclass
class Progress:
    """How far a training has come.

    Attributes:
        step: steps taken.
        elapsed: seconds spent on them.
        sums: sums of the loss terms since the last row.
        skipped: steps since the last row whose loss was not finite.
        skipped_total: all such steps.
        rows: rows of history.csv.
        schedule: ``from_step`` and ``max_steps`` of each learning-rate schedule used; more than one where the training
            was extended.
        best: validation whose weights are the best so far: ``step`` and ``value``, and ``by``, what is compared.
    """

    step: int = 0
    elapsed: float = 0.0
    sums: Row = field(default_factory=dict)
    skipped: int = 0
    skipped_total: int = 0
    rows: list[Row] = field(default_factory=list)
    schedule: list[dict[str, int]] = field(default_factory=list)
    best: dict[str, Any] | None = None


@dataclass(frozen=True)
class State:
    """A training that can be resumed: its progress, and the states of model, EMA and optimizer."""

    progress: Progress
    model: dict[str, Tensor]
    ema: dict[str, Tensor]
    optimizer: dict[str, Any]


def state_path(out_dir: Path) -> Path:
    """File of the state of the training whose checkpoint is written to ``out_dir``."""
    return out_dir / RESUME / "state.pt"


def save_state(path: Path, course: Course, state: State) -> None:
    """Write a state; it appears whole or not at all."""
    content = {"course": asdict(course), "progress": asdict(state.progress)}
    content |= {"model": state.model, "ema": state.ema, "optimizer": state.optimizer}
    with written_aside(path) as aside:
        torch.save(content, aside)


def best_path(out_dir: Path, step: int) -> Path:
    """File of the weights of the best validation, at ``step``."""
    return out_dir / RESUME / f"best_{step:06d}.pt"


def save_best(path: Path, step: int, values: dict[str, Tensor]) -> None:
    """Write the weights of the best validation, at ``step``; those before stay until `remove_other_best`."""
    with written_aside(path) as aside:
        torch.save({"step": step, "values": values}, aside)


def remove_other_best(out_dir: Path, step: int | None) -> None:
    """Remove weights of validations that were the best until ``step``; call it when the saved state names ``step``.

    A training that is killed before resumes from a state that needs the earlier weights.
    """
    for path in (out_dir / RESUME).glob("best_*.pt"):
        if step is None or path != best_path(out_dir, step):
            with faults_named(path):
                path.unlink(missing_ok=True)


def load_best(path: Path, step: int, device: torch.device) -> dict[str, Tensor]:
    """The weights of the best validation.

    Raises:
        AssetError: the file is missing, damaged or of another step.
    """
    try:
        content = torch.load(path, map_location=device, weights_only=True)
        if content["step"] == step:
            return dict(content["values"])
        reason = f"it has the weights of step {content['step']}"
    except (RuntimeError, EOFError, LookupError, TypeError, OSError, ValueError, pickle.UnpicklingError) as error:
        reason = f"it cannot be read ({error})"
    raise AssetError(
        f"{path}: the weights of the best validation, at step {step}, are needed, but {reason}; set loop.keep to "
        "'last', or remove this folder and train again"
    )


def set_aside(paths: Iterable[Path]) -> Path | None:
    """Move files or folders to the subfolder ``replaced`` beside them, or ``replaced_2``, ... if it has one of them.

    Returns the subfolder, or None if there is nothing to move.

    Raises:
        StorageError: they cannot be moved.
    """
    found = sorted(paths)
    if not found:
        return None
    parent, number = found[0].parent, 1
    while any((_numbered(parent, number) / path.name).exists() for path in found):
        number += 1
    target = _numbered(parent, number)
    with faults_named(target):
        target.mkdir(exist_ok=True)
        for path in found:
            path.rename(target / path.name)
    return target


def _numbered(parent: Path, number: int) -> Path:
    return parent / (REPLACED if number == 1 else f"{REPLACED}_{number}")


def keep_replaced(out_dir: Path) -> None:
    """Set aside the state and the best weights that another training left, where this one will write its own."""
    state = state_path(out_dir)
    if state.is_file():
        folder = state.parent
        kept = set_aside(path for path in folder.glob("*") if path.is_file() and not path.name.startswith("."))
        print(
            f"{kept}: keeps the state of that training; to continue it, set the settings back and move these files to "
            f"{folder}",
            file=sys.stderr,
            flush=True,
        )


def load_state(path: Path, course: Course, max_steps: int, device: torch.device) -> State | None:
    """The saved state, or None where there is none to resume from; the reason is printed.

    A state resumes on an equal `Course`. A larger ``max_steps`` than before extends the training: the steps already
    taken stay, and the learning rate follows the longer schedule from there on.

    Args:
        path: see `state_path`.
        course: of the training that wants to resume.
        max_steps: of the training that wants to resume.
        device: where the tensors go.

    Raises:
        StorageError: the disk cannot be read; it may still hold hours of training.
    """
    if not path.is_file():
        return None
    try:
        with faults_named(path):
            # For other files torch tries an old format, whose reader fails in many ways.
            if not zipfile.is_zipfile(path):
                raise ValueError("it is not an archive of tensors")
            content = torch.load(path, map_location=device, weights_only=True)
        reasons = course.changes(Course(**content["course"]))
        progress = Progress(**content["progress"])
        before = progress.schedule[-1]["max_steps"]
        if max_steps < before:
            reasons.append(f"loop.max_steps is {max_steps}, was {before}: only a larger number extends a training")
        if not reasons:
            return State(progress, content["model"], content["ema"], content["optimizer"])
        reason = "; ".join(reasons)
    except (RuntimeError, EOFError, LookupError, TypeError, OSError, ValueError, pickle.UnpicklingError) as error:
        reason = f"it cannot be read ({error})"
    print(f"{path}: not used, training starts from the beginning: {reason}", file=sys.stderr, flush=True)
    return None


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested values by dotted names."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {prefix + name: value}
    return flat
