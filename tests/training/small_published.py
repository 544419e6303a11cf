"""The published training with small sizes: settings, clips, and a training that keeps its weights."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import torch
from small_data import Files
from torch import nn

from occlufacediff.config.published_recipe import Wav2Vec2Settings
from occlufacediff.datasets.packed import PackedClips
from occlufacediff.models.audio_encoder import Wav2Vec2Encoder, Wav2Vec2Sizes
from occlufacediff.models.checkpoint import load_denoiser
from occlufacediff.models.denoiser import Denoiser, DenoiserConfig
from occlufacediff.models.provenance import TrainingOrigin
from occlufacediff.stages import train as stage
from occlufacediff.training import denoiser as training
from occlufacediff.training.published_windows import Drawing
from occlufacediff.training.share import Share

#: The published denoiser with fewer channels and layers.
FEW = DenoiserConfig(
    landmark_width=16,
    audio_width=32,
    encoder_layers=1,
    encoder_feed_forward=32,
    decoder_width=32,
    decoder_layers=1,
    decoder_feed_forward=32,
)


#: A small wav2vec2 with random weights.
SMALL = Wav2Vec2Settings(
    weights="random",
    hidden_size=16,
    num_hidden_layers=1,
    num_attention_heads=2,
    intermediate_size=24,
    conv_dim=(8,) * 7,
    num_conv_pos_embeddings=4,
    num_conv_pos_embedding_groups=2,
)
SMALL_SIZES = Wav2Vec2Sizes(**{field.name: getattr(SMALL, field.name) for field in fields(Wav2Vec2Sizes)})


def store_of(files: Files, split: str = "train") -> PackedClips:
    """A split of small data with landmarks and waveforms."""
    return PackedClips(
        files.manifest,
        split,
        face=files.packed(),
        landmarks=True,
        audio=files.packed("waveform"),
        audio_as="waveform",
    )


def drawing(**values: Any) -> Drawing:
    """Windows of 64 frames, five of each clip in an epoch, two in a micro-batch."""
    return replace(Drawing(seed=1, length=64, per_clip=5, batch_size=2, shortest=64), **values)


def without_dropout(encoder: Wav2Vec2Encoder, settings: Wav2Vec2Settings) -> None:
    """Switch off dropout and layer drop of wav2vec2, which keeps its random weights."""
    for module in encoder.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        elif isinstance(getattr(module, "dropout", None), float):
            module.dropout = 0.0
    encoder.model.config.layerdrop = 0.0


def train_small_published(out_dir: Path, *, dropout: bool = True, **arguments: Any) -> None:
    """Train, and save the weights of this process as ``weights-<number>.pt``; ``dropout`` false: without dropout."""
    torch.set_num_threads(1)
    kept: list[Denoiser] = []
    published, fit, initialise = DenoiserConfig.published, stage.fit_denoiser, training.initialise_wav2vec2

    def fit_and_keep(*args: Any, **kwargs: Any) -> Any:
        result = fit(*args, **kwargs)
        kept.append(result[0])
        return result

    few = FEW if dropout else replace(FEW, dropout=0.0)
    DenoiserConfig.published = classmethod(lambda cls: few)  # type: ignore[method-assign,assignment]
    if not dropout:
        training.initialise_wav2vec2 = without_dropout
    stage.fit_denoiser = fit_and_keep
    try:
        origin = TrainingOrigin(dataset="small", split_rule="lists", run="main")
        stage.train_denoiser(out_dir=out_dir, origin=origin, seed=1, device="cpu", **arguments)
    finally:
        DenoiserConfig.published = published  # type: ignore[method-assign]
        stage.fit_denoiser, training.initialise_wav2vec2 = fit, initialise
    torch.save(kept[0].state_dict(), out_dir / f"weights-{Share.current().process}.pt")
    assert Share.current().process or load_denoiser(out_dir)[0] is not None
