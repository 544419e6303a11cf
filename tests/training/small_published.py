"""The published training of a denoiser with small sizes, for tests with several processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from occlufacediff.models.checkpoint import load_denoiser
from occlufacediff.models.denoiser import Denoiser, DenoiserConfig
from occlufacediff.models.provenance import TrainingOrigin
from occlufacediff.stages import train as stage
from occlufacediff.training.share import Share

FEW = DenoiserConfig(
    landmark_width=16,
    audio_width=32,
    encoder_layers=1,
    encoder_feed_forward=32,
    decoder_width=32,
    decoder_layers=1,
    decoder_feed_forward=32,
)


def train_small_published(out_dir: Path, **arguments: Any) -> None:
    """Train, and save the weights of this process as ``weights-<number>.pt``."""
    torch.set_num_threads(1)
    kept: list[Denoiser] = []
    published, fit = DenoiserConfig.published, stage.fit_denoiser

    def fit_and_keep(*args: Any, **kwargs: Any) -> Any:
        result = fit(*args, **kwargs)
        kept.append(result[0])
        return result

    DenoiserConfig.published = classmethod(lambda cls: FEW)  # type: ignore[method-assign,assignment]
    stage.fit_denoiser = fit_and_keep
    try:
        origin = TrainingOrigin(dataset="small", split_rule="lists", run="main")
        stage.train_denoiser(out_dir=out_dir, origin=origin, seed=1, device="cpu", **arguments)
    finally:
        DenoiserConfig.published = published  # type: ignore[method-assign]
        stage.fit_denoiser = fit
    torch.save(kept[0].state_dict(), out_dir / f"weights-{Share.current().process}.pt")
    assert Share.current().process or load_denoiser(out_dir)[0] is not None
