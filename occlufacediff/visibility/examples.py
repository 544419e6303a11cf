"""Training examples: a rendered face with its details, occluders over it, and which pixels show unoccluded face."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from occlufacediff.face_mesh import LIPS
from occlufacediff.visibility.clear_faces import background, decorate
from occlufacediff.visibility.inputs import INPUT_PX, draw_mesh
from occlufacediff.visibility.occluders import draw_occluder, put_over

#: Edge of the label, pixels.
LABEL_PX = INPUT_PX // 2
#: Part of the examples without an occluder.
CLEAR = 0.4


@dataclass(frozen=True, eq=False)
class Parts:
    """Rendered parts of an example: a face (see `faces.Face`) and M hands.

    Attributes:
        picture: (112, 112, 3) uint8.
        regions: (112, 112, 4) uint8.
        landmarks: (468, 2) float32, crop coordinates.
        other: (468, 2) float32, with another expression.
        hands: (M, 144, 144, 2) uint8.
    """

    picture: NDArray[np.uint8]
    regions: NDArray[np.uint8]
    landmarks: NDArray[Any]
    other: NDArray[Any]
    hands: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Example:
    """One example.

    Attributes:
        picture: (112, 112, 3) uint8 RGB.
        landmarks: (468, 2) float32, as a detector reports them.
        visible: (56, 56) float32, part of each pixel that is unoccluded face.
        weight: (56, 56) float32 weight of each pixel: 1 on the face, little around it.
    """

    picture: NDArray[np.uint8]
    landmarks: NDArray[Any]
    visible: NDArray[Any]
    weight: NDArray[Any]


def make_example(parts: Parts, rng: np.random.Generator) -> Example:
    """Make an example of a face; every call draws other details and occluders."""
    flip = rng.random() < 0.5
    landmarks, other = parts.landmarks.copy(), parts.other.copy()
    picture, regions = parts.picture, parts.regions
    if flip:
        picture, regions = picture[:, ::-1], regions[:, ::-1]
        landmarks[:, 0] *= -1
        other[:, 0] *= -1
    points = (landmarks + 1) * (INPUT_PX / 2)
    areas = regions.astype(np.float32) / 255
    image = decorate(rng, picture.astype(np.float32), areas, points)
    image = background(rng, image, areas[..., 0], points)
    hidden = np.zeros((INPUT_PX, INPUT_PX), np.float32)
    if rng.random() > CLEAR:
        on_skin = areas[..., 3] > 0.9
        skin = image[on_skin].mean(axis=0) if on_skin.any() else np.full(3, 120.0)
        for _ in range(int(rng.choice([1, 2, 3], p=[0.7, 0.22, 0.08]))):
            image, alpha = put_over(rng, image, draw_occluder(rng, points, skin, parts.hands))
            hidden = np.maximum(hidden, alpha)
    reported = _reported(rng, landmarks, other, hidden)
    visible = (areas[..., 0] > 0.5) * (1 - np.clip((hidden - 0.2) / 0.4, 0, 1))
    contour, _ = draw_mesh(landmarks)
    near = cv2.dilate(contour, np.ones((5, 5), np.uint8)) / np.float32(255)
    weight = 0.05 + 0.95 * near
    return Example(
        picture=np.clip(image, 0, 255).astype(np.uint8),
        landmarks=reported,
        visible=cv2.resize(visible.astype(np.float32), (LABEL_PX, LABEL_PX), interpolation=cv2.INTER_AREA),
        weight=cv2.resize(weight, (LABEL_PX, LABEL_PX), interpolation=cv2.INTER_AREA),
    )


def _reported(
    rng: np.random.Generator, landmarks: NDArray[Any], other: NDArray[Any], hidden: NDArray[Any]
) -> NDArray[Any]:
    """Landmarks with a detector's errors: small in clear pictures, with an invented mouth where it is hidden."""
    out = landmarks
    pixels = np.clip((landmarks * (INPUT_PX / 2) + INPUT_PX / 2).astype(int), 0, INPUT_PX - 1)
    covered = float(hidden[pixels[list(LIPS), 1], pixels[list(LIPS), 0]].mean())
    if covered > 0.5 or rng.random() < 0.1:
        out = out + rng.uniform(0.3, 1.0) * (other - landmarks)
    spread = 0.006 + (0.03 * rng.random() if hidden.any() else 0.012 * rng.random())
    middle = out.mean(axis=0)
    shift = rng.normal(0, spread, 2) * 1.2
    size = 1 + rng.normal(0, spread, 2) * 1.5
    return np.asarray(middle + (out - middle) * size + shift, np.float32)
