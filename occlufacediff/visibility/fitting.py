"""Training of the occlusion network on composed pictures."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from occlufacediff.config.occlusion_weights import OcclusionTraining
from occlufacediff.visibility.inputs import INPUT_PX, network_input
from occlufacediff.visibility.network import FaceSegmentation
from occlufacediff.visibility.painting import degrade

log = logging.getLogger(__name__)

#: Steps between lines of the log.
_REPORT = 50


@dataclass(frozen=True, eq=False)
class Pictures:
    """Composed pictures and their labels, N of them.

    Attributes:
        picture: (N, 112, 112, 3) uint8 RGB, not yet degraded.
        landmarks: (N, 468, 2), crop coordinates.
        visible: (N, 56, 56) uint8, 255 where all of a pixel is unoccluded face.
        weight: (N, 56, 56) uint8 weights of the pixels, 255 on the face.
    """

    picture: NDArray[np.uint8]
    landmarks: NDArray[np.floating]
    visible: NDArray[np.uint8]
    weight: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.picture)


def fit_network(pictures: Pictures, settings: OcclusionTraining, seed: int) -> FaceSegmentation:
    """Train a network; returns the average of its weights over the last steps (EMA).

    The loss is the binary cross entropy per pixel. The learning rate rises during the first tenth and then falls to
    zero as a cosine.
    """
    torch.manual_seed(seed)
    network = FaceSegmentation().train()
    average = {name: value.detach().clone() for name, value in network.state_dict().items()}
    optimizer = torch.optim.AdamW(network.parameters(), lr=settings.learning_rate, weight_decay=1e-3)
    rng = np.random.default_rng(seed)
    recent = 0.0
    batches = tqdm(_batches(len(pictures), settings, rng), total=settings.steps, desc="occlusion network", unit="step")
    for step, numbers in enumerate(batches):
        share = (step + 1) / settings.steps
        rate = settings.learning_rate * min(1.0, share / 0.1) * 0.5 * (1 + np.cos(np.pi * share))
        for group in optimizer.param_groups:
            group["lr"] = rate
        inputs, visible, weight = batch(pictures, numbers, rng)
        loss = weighted_loss(network(inputs), visible, weight)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        keep = min(settings.ema_decay, (step + 1) / (step + 10))
        for name, value in network.state_dict().items():
            if value.is_floating_point():
                average[name].lerp_(value.detach(), 1 - keep)
            else:
                average[name].copy_(value)
        recent += loss.item() / _REPORT
        if (step + 1) % _REPORT == 0:
            log.info("step %d of %d: loss %.4f", step + 1, settings.steps, recent)
            recent = 0.0
    network.load_state_dict(average)
    return network.eval()


def batch(pictures: Pictures, numbers: NDArray[np.integer], rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Inputs (B, 5, 112, 112), labels and weights (B, 56, 56); pictures are degraded, shifted and flipped at random."""
    inputs, visible, weight = [], [], []
    for number in numbers:
        picture, landmarks = pictures.picture[number], np.asarray(pictures.landmarks[number], np.float32)
        labels = np.dstack([pictures.visible[number], pictures.weight[number]])
        if rng.random() < 0.5:
            picture, labels = picture[:, ::-1], labels[:, ::-1]
            landmarks = landmarks * np.array([-1, 1], np.float32)
        picture, labels, landmarks = _moved(picture, labels, landmarks, rng)
        inputs.append(network_input(degrade(picture.astype(np.float32), rng), landmarks))
        visible.append(labels[..., 0])
        weight.append(labels[..., 1])
    stacked = torch.from_numpy(np.stack(inputs)).to(memory_format=torch.channels_last)
    labels_, weights_ = (torch.from_numpy(np.stack(part).astype(np.float32) / 255) for part in (visible, weight))
    return stacked, labels_, weights_


def _moved(
    picture: NDArray[np.uint8], labels: NDArray[np.uint8], landmarks: NDArray[np.float32], rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.float32]]:
    """Turn, scale and shift picture, labels and landmarks together."""
    half = INPUT_PX / 2
    matrix: NDArray[Any] = cv2.getRotationMatrix2D((half, half), rng.normal(0, 8), rng.uniform(0.92, 1.1))
    matrix[:, 2] += rng.normal(0, 2, 2)
    turned = cv2.warpAffine(picture, matrix, (INPUT_PX, INPUT_PX), borderMode=cv2.BORDER_REFLECT)
    small = matrix.copy()
    small[:, 2] = small[:, 2] / 2 + 0.25 * (matrix[:, :2].sum(axis=1) - 1)
    edge = INPUT_PX // 2
    moved = cv2.warpAffine(labels, small, (edge, edge), borderMode=cv2.BORDER_REPLICATE)
    pixels = (landmarks + 1) * half @ matrix[:, :2].T + matrix[:, 2]
    return np.asarray(turned, np.uint8), np.asarray(moved, np.uint8), np.asarray(pixels / half - 1, np.float32)


def weighted_loss(logits: Tensor, visible: Tensor, weight: Tensor) -> Tensor:
    """Mean binary cross entropy of logits (B, 1, 56, 56), weighted per pixel."""
    loss = nn.functional.binary_cross_entropy_with_logits(logits[:, 0], visible, reduction="none")
    return (loss * weight).sum() / weight.sum()


def _batches(count: int, settings: OcclusionTraining, rng: np.random.Generator) -> Iterator[NDArray[np.integer]]:
    """Numbers of the pictures of each step; every picture comes once before any comes again."""
    order = np.zeros(0, np.int64)
    for _ in range(settings.steps):
        while len(order) < settings.batch_size:
            order = np.concatenate([order, rng.permutation(count)])
        yield order[: settings.batch_size]
        order = order[settings.batch_size :]
