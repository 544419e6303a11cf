"""Settings of the occlusion network: its rendered pictures and its training."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from occlufacediff.config.constraints import Count, Limits, Positive, Section, Seed


@dataclass(frozen=True)
class OcclusionPictures(Section):
    """Rendered heads under rendered and drawn occluders."""

    #: Number of rendered faces.
    faces: Annotated[int, Limits(ge=8)] = 6400
    #: Pictures per face, each with other occluders, hair, glasses and background.
    pictures_per_face: Count = 5
    #: Rendered hands per shard.
    hands: Count = 600
    #: Number of shards; each is one job with its own faces and hands. The last one is for validation.
    shards: Annotated[int, Limits(ge=2)] = 8


@dataclass(frozen=True)
class OcclusionTraining(Section):
    """Training of the network."""

    #: Optimizer steps.
    steps: Count = 3000
    #: Pictures per step.
    batch_size: Count = 32
    #: Highest learning rate.
    learning_rate: Positive = 3e-3
    #: Decay of the average of the weights.
    ema_decay: Annotated[float, Limits(ge=0, lt=1)] = 0.995


@dataclass(frozen=True)
class OcclusionWeightsSettings(Section):
    """The occlusion network: the target ``occlusion_weights`` makes it from seeds alone."""

    #: Seed of pictures and training, independent of the global seed, so that all users make the same weights.
    seed: Seed = 7
    pictures: OcclusionPictures = field(default_factory=OcclusionPictures)
    training: OcclusionTraining = field(default_factory=OcclusionTraining)
