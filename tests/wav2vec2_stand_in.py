"""A stand-in for the weights of wav2vec2: a safetensors file with all entries and no values."""

from __future__ import annotations

import json
from dataclasses import replace
from math import prod
from pathlib import Path

from occlufacediff.config.published_recipe import Wav2Vec2Settings
from occlufacediff.models.wav2vec2_entries import expected_shapes


def write_wav2vec2(path: Path, *, layers: int = 12, hidden: int = 768) -> None:
    """Write a file in float32 whose values are a hole, so that it takes no space on the disk."""
    sizes = replace(Wav2Vec2Settings(), num_attention_heads=16, num_hidden_layers=layers, hidden_size=hidden)
    entries, end = {}, 0
    for name, shape in expected_shapes(sizes).items():
        start, end = end, end + 4 * prod(shape)
        entries[f"wav2vec2.{name}"] = {"dtype": "F32", "shape": shape, "data_offsets": [start, end]}
    header = json.dumps(entries).encode()
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(file.tell() + end)
