"""Settings of the open head, which is built from MakeHuman's data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from occlufacediff.config.constraints import Fraction, Limits, Section, Seed

RenderCount = Annotated[int, Limits(1, 10_000)]


@dataclass(frozen=True)
class OpenHeadSettings(Section):
    """How the open head is built."""

    #: Seed of the sampled heads, independent of the global seed: the open weights need the head of the default seed.
    seed: Seed = 1
    #: Number of identity coefficients (principal components of sampled heads).
    shape_components: Annotated[int, Limits(1, 300)] = 60
    #: Further identity coefficients: smooth details that no sampled head has. Fits need them to follow real faces;
    #: synthetic faces do not use them.
    detail_components: Annotated[int, Limits(0, 300)] = 150
    #: Length scale of the details, in metres.
    detail_length: Annotated[float, Limits(0.015, 0.1)] = 0.02
    #: SD of the details at a point of the face, in metres.
    detail_spread: Annotated[float, Limits(0.0001, 0.02)] = 0.004
    #: Number of heads sampled for the principal components; at least ``shape_components``.
    identities: Annotated[int, Limits(2, 100_000)] = 600
    #: SD of each local shape change (1: MakeHuman's full slider).
    local_spread: Fraction = 0.3
    #: Restrict mouth and jaw actions to the skin below the nose, so that visible points do not reveal an occluded
    #: mouth.
    localise_mouth: bool = True
    #: Number of rendered heads, with random jaws and poses, from which the landmark embedding is computed.
    embedding_renders: RenderCount = 120
    #: Number of further renders that measure the embedding's error.
    held_out_renders: RenderCount = 24
    #: Edge of the renders, in pixels.
    embedding_size: Annotated[int, Limits(128, 2048)] = 384

    def __post_init__(self) -> None:
        if self.identities < self.shape_components:
            raise ValueError(f"identities: got {self.identities}, needs at least shape_components")
