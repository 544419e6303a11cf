"""The viseme reader and the emotion reader: small temporal convolutional networks on motion."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Reader(nn.Module):
    """Scores of classes in each frame, from the motion of landmarks.

    The motion is projected to its principal components, followed by three residual convolutions over five frames each,
    with layer normalisation. Frames outside the clip are zeros.
    """

    directions: Tensor
    scale: Tensor

    def __init__(self, features: int, components: int, classes: int, width: int = 64, dropout: float = 0.1) -> None:
        """Create a reader of ``features`` columns by ``components`` that distinguishes ``classes``."""
        super().__init__()
        self.features, self.components, self.classes, self.width = features, components, classes, width
        self.register_buffer("directions", torch.zeros(features, components))
        self.register_buffer("scale", torch.ones(components))
        self.input = nn.Linear(components, width)
        self.convolutions = nn.ModuleList(nn.Conv1d(width, width, 5, padding=2) for _ in range(3))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(width, classes)

    def forward(self, values: Tensor) -> Tensor:
        """Scores (B, T, C) of motion (B, T, F) in mm."""
        return self.scores(values @ self.directions)

    def scores(self, components: Tensor, mask: Tensor | None = None) -> Tensor:
        """Scores (B, T, C) of components (B, T, K) in mm; frames of ``mask`` (B, T) 0 count as outside the clip."""
        hidden = self.input(components / self.scale)
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            kept = norm(hidden) if mask is None else norm(hidden) * mask[..., None]
            change = convolution(kept.transpose(1, 2)).transpose(1, 2)
            hidden = hidden + self.dropout(nn.functional.gelu(change))
        found: Tensor = self.output(hidden)
        return found
