"""Short trainings of both networks on small data, for tests."""

from __future__ import annotations

import csv
from pathlib import Path

from small_data import Files

from occlufacediff.config.training import DenoiserSettings, LoopSettings, MotionPriorSettings
from occlufacediff.datasets.audio_kinds import AUDIO_OF_PRESET
from occlufacediff.models.provenance import TrainingOrigin
from occlufacediff.stages.train import train_denoiser, train_motion_prior
from occlufacediff.training.loop import CLOCK_COLUMNS

ORIGIN = TrainingOrigin(dataset="small", split_rule="lists", run="main")
QUICK = LoopSettings(max_steps=12, batch_size=4, validate_every=6, validation_windows=4, save_every=4, warmup_steps=2)


def history(folder: Path) -> list[dict[str, str]]:
    """Rows of history.csv without what depends on the machine's speed."""
    with (folder / "history.csv").open() as file:
        return [{k: v for k, v in row.items() if k not in CLOCK_COLUMNS} for row in csv.DictReader(file)]


def prior_of(files: Files, out: Path, settings: MotionPriorSettings | None = None, device: str = "cpu") -> None:
    """Train a motion prior into a folder."""
    settings = settings or MotionPriorSettings(loop=QUICK)
    train_motion_prior(
        files.manifest,
        files.packed(),
        files.head,
        out,
        settings=settings,
        origin=ORIGIN,
        seed=1,
        device=device,
    )


def denoiser_of(files: Files, prior: Path, out: Path, settings: DenoiserSettings) -> None:
    """Train a denoiser into a folder."""
    train_denoiser(
        files.manifest,
        files.packed(),
        files.packed(AUDIO_OF_PRESET[settings.preset]),
        files.head,
        prior,
        out,
        settings=settings,
        origin=ORIGIN,
        seed=1,
        device="cpu",
    )
