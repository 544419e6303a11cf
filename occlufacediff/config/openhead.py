"""Settings of the open head: how it is built from MakeHuman's data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class OpenHeadSettings:
    """How the open head asset is built."""

    #: Identity coefficients kept (principal components of sampled heads).
    shape_components: int = 60
    #: Further identity coefficients: smooth details of the face that no sampled head has. A fit needs them to follow
    #: real faces; synthetic faces are drawn without them.
    detail_components: int = 150
    #: Distance over which such a detail varies, metres.
    detail_length: float = 0.02
    #: Standard deviation of the details at a point of the face, metres.
    detail_spread: float = 0.004
    #: Heads sampled for the principal components.
    identities: int = 600
    #: Standard deviation of each local shape change (1 is the full change of MakeHuman's slider).
    local_spread: float = 0.3
    #: Confine mouth and jaw actions to the skin below the nose, so that visible points cannot tell a hidden mouth.
    localise_mouth: bool = True
    #: Pictures of random heads, jaws and poses from which the landmark embedding is found.
    embedding_renders: int = 120
    #: Further pictures on which the embedding is only measured.
    held_out_renders: int = 24
    #: Side of those pictures, pixels.
    embedding_size: int = 384

    def __post_init__(self) -> None:
        limits = {
            "shape_components": (1, 300),
            "detail_components": (0, 300),
            "detail_length": (0.015, 0.1),
            "detail_spread": (0.0001, 0.02),
            "identities": (2, 100_000),
            "local_spread": (0, 1),
            "embedding_renders": (1, 10_000),
            "held_out_renders": (1, 10_000),
            "embedding_size": (128, 2048),
        }
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"{name}: got {value}, needs {low} to {high}")
        if self.identities < self.shape_components:
            raise ValueError(f"identities: got {self.identities}, needs at least shape_components")
