"""Stage: train the occlusion network on the pictures of all shards, and write its model card."""

from __future__ import annotations

import logging
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import h5py
import numpy as np
import torch
from safetensors.torch import save_file

from occlufacediff import __version__
from occlufacediff.config.occlusion_weights import OcclusionWeightsSettings
from occlufacediff.errors import AssetError
from occlufacediff.files import written_aside
from occlufacediff.reporting.templates import render
from occlufacediff.visibility.fitting import Pictures, batch, fit_network
from occlufacediff.visibility.network import FaceSegmentation

log = logging.getLogger(__name__)

#: Size limit of the weights, bytes.
LARGEST_BYTES = 5_000_000
CARD = "MODEL_CARD.md"


@dataclass(frozen=True)
class Accuracy:
    """Scores on the validation pictures: intersection over union of visible and of hidden pixels of the face."""

    visible_iou: float
    hidden_iou: float


def train_occlusion_network(shards: list[Path], out_dir: Path, *, settings: OcclusionWeightsSettings) -> None:
    """Train on all shards but the last, which is for validation. Writes ``model.safetensors`` and the card.

    Raises:
        AssetError: a shard is not readable, or the weights are larger than `LARGEST_BYTES`.
    """
    cv2.setNumThreads(1)
    start = time.process_time()
    network = fit_network(_read(shards[:-1]), settings.training, settings.seed)
    accuracy = measure(network, _read(shards[-1:]), settings.seed)
    log.info("Visible face: IoU %.3f; hidden face: IoU %.3f", accuracy.visible_iou, accuracy.hidden_iou)
    path = out_dir / "model.safetensors"
    with written_aside(path) as aside:
        save_file({name: value.contiguous() for name, value in network.state_dict().items()}, aside)
    size = path.stat().st_size
    if size > LARGEST_BYTES:
        raise AssetError(f"{path}: the weights take {size / 1e6:.1f} MB, the limit is {LARGEST_BYTES / 1e6:.0f} MB")
    parts = {
        "version": __version__,
        "seed": settings.seed,
        "pictures": asdict(settings.pictures),
        "training": asdict(settings.training),
        "accuracy": accuracy,
        "size_mb": size / 1e6,
        "parameters": sum(value.numel() for value in network.parameters()),
        "cpu_minutes": (time.process_time() - start) / 60,
    }
    with written_aside(out_dir / CARD) as aside:
        aside.write_text(render("occlusion_card.md.j2", parts), encoding="utf-8")


@torch.no_grad()
def measure(network: FaceSegmentation, pictures: Pictures, seed: int) -> Accuracy:
    """Accuracy on pictures that are degraded as in training."""
    rng = np.random.default_rng(seed)
    counts = np.zeros((2, 2))
    for first in range(0, len(pictures), 32):
        inputs, visible, weight = batch(pictures, np.arange(first, min(first + 32, len(pictures))), rng)
        found = network(inputs)[:, 0] > 0
        for row, (guess, truth) in enumerate(((found, visible > 0.5), (~found, visible <= 0.5))):
            face = weight > 0.5
            counts[row] += [(guess & truth & face).sum().item(), ((guess | truth) & face).sum().item()]
    shown, hidden = counts[:, 0] / np.maximum(counts[:, 1], 1)
    return Accuracy(float(shown), float(hidden))


def _read(shards: list[Path]) -> Pictures:
    """Pictures of all shards."""
    names = ("picture", "landmarks", "visible", "weight")
    arrays: dict[str, list[np.ndarray]] = {name: [] for name in names}
    for path in shards:
        try:
            with h5py.File(path, "r") as file:
                for name in names:
                    arrays[name].append(file[name][()])
        except (OSError, KeyError) as error:
            raise AssetError(f"{path}: no readable pictures ({error}); run `snakemake occlusion_weights`") from error
    return Pictures(*(np.concatenate(arrays[name]) for name in names))
