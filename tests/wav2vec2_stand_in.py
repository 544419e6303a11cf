"""A stand-in for the weights of wav2vec2-base: the entries whose sizes are compared when a run starts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors.numpy import save_file


def write_wav2vec2(path: Path, *, layers: int = 12, hidden: int = 768) -> None:
    """Write zeros in float16 as a safetensors file."""
    entries = {
        "feature_projection.projection.weight": (hidden, 512),
        "encoder.layers.0.feed_forward.intermediate_dense.weight": (3072, hidden),
        **{f"encoder.layers.{number}.final_layer_norm.weight": (hidden,) for number in range(layers)},
    }
    save_file({f"wav2vec2.{name}": np.zeros(shape, np.float16) for name, shape in entries.items()}, path)
