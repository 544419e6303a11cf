"""Occluders for training: hands, face masks, microphones, cups, phones and random shapes, drawn over a face."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from occlufacediff.face_mesh import LEFT_EYE, LIPS, NOSE, RIGHT_EYE
from occlufacediff.visibility.inputs import INPUT_PX
from occlufacediff.visibility.painting import (
    Float,
    Picture,
    blob,
    lighting,
    motion_blur,
    noise,
    polygon,
    strokes,
    texture,
)

#: Landmarks of the upper edge of a face mask, from one side of the face to the other, and of its lower edge.
_MASK_TOP = (234, 227, 116, 117, 118, 100, 114, 6, 343, 329, 347, 346, 345, 447, 454)
_MASK_LOW = (323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149, 150, 136, 172, 58, 132, 93)
KINDS = ("hand", "fingers", "mask", "object", "shape")
#: Objects that are held before a face.
OBJECTS = ("microphone", "cup", "phone", "stick")
CHANCES = (0.36, 0.14, 0.14, 0.24, 0.12)


@dataclass(frozen=True)
class Occluder:
    """Colours (N, N, 3) and alpha (N, N), 0 to 255 and 0 to 1; N is 112 for the training pictures."""

    colours: Picture
    alpha: Float


def draw_occluder(
    rng: np.random.Generator, points: NDArray[Any], skin: NDArray[Any], hands: NDArray[np.uint8]
) -> Occluder:
    """Draw a random occluder over a face.

    Args:
        rng: random generator.
        points: (468, 2) landmarks, pixels.
        skin: (3,) mean skin colour of the face; hands are similar.
        hands: (N, 144, 144, 2) rendered hands (see `hand_shapes`).
    """
    kind = rng.choice(KINDS, p=CHANCES)
    target = _target(rng, points)
    if kind == "hand":
        return _hand(rng, points, skin, hands, target)
    if kind == "fingers":
        return _fingers(rng, points, skin, target)
    if kind == "mask":
        return face_mask(rng, points)
    if kind == "object":
        return held_object(rng, points, skin, target)
    return _shape(rng, points, skin, target)


def put_over(rng: np.random.Generator, image: Picture, occluder: Occluder) -> tuple[Picture, Float]:
    """Draw an occluder over an image, with its shadow and motion blur. Returns the image and the alpha."""
    colours, alpha = occluder.colours, occluder.alpha
    if rng.random() < 0.5:
        offset = np.array([[1, 0, rng.normal(0, 3)], [0, 1, rng.uniform(-1, 5)]], np.float32)
        dark = cv2.warpAffine(alpha, offset, (INPUT_PX, INPUT_PX))
        dark = cv2.GaussianBlur(dark, (0, 0), rng.uniform(1, 6))[..., None]
        image = image * (1 - rng.uniform(0.1, 0.6) * dark)
    if rng.random() < 0.25:
        both = motion_blur(np.dstack([colours * alpha[..., None], alpha]), rng, 15)
        alpha = both[..., 3]
        colours = both[..., :3] / np.maximum(alpha, 1e-3)[..., None]
    elif rng.random() < 0.5:
        alpha = cv2.GaussianBlur(alpha, (0, 0), rng.uniform(0.3, 1.2))
    if rng.random() < 0.05:
        alpha = alpha * np.float32(rng.uniform(0.5, 0.9))
    share = alpha[..., None]
    return np.asarray(image + share * (colours - image), np.float32), alpha


def _target(rng: np.random.Generator, points: NDArray[Any]) -> NDArray[np.float64]:
    """A point of the face near which the occluder lies; the mouth in half of the cases."""
    group = (LIPS, NOSE, LEFT_EYE, RIGHT_EYE, range(468))[int(rng.choice(5, p=[0.45, 0.15, 0.1, 0.1, 0.2]))]
    middle = points[np.array(group)].mean(axis=0) if len(group) < 468 else points[rng.integers(468)]
    return np.asarray(middle + rng.normal(0, 7, 2), np.float64)


def _skin_like(rng: np.random.Generator, skin: NDArray[Any]) -> NDArray[np.float64]:
    """A colour like the skin of the face; in a few cases a glove or another skin."""
    if rng.random() < 0.12:
        return rng.uniform(10, 250, 3)
    spread = rng.choice([0.3, 1.0])
    factor = np.exp(spread * rng.normal(0, 0.2)) * (1 + spread * rng.normal(0, 0.07, 3))
    return np.asarray(np.clip(skin * factor, 5, 255), np.float64)


def _hand(
    rng: np.random.Generator,
    points: NDArray[Any],
    skin: NDArray[Any],
    hands: NDArray[np.uint8],
    target: NDArray[Any],
) -> Occluder:
    sprite = hands[rng.integers(len(hands))]
    if rng.random() < 0.5:
        sprite = sprite[:, ::-1]
    height = np.linalg.norm(points[10] - points[152])
    # A hand is about as long as a face; in the sprite it is 85 pixels long.
    scale = height / 85 * rng.uniform(0.7, 1.35)
    angle = rng.uniform(0, 360) if rng.random() < 0.3 else rng.normal(0, 40)
    middle = sprite.shape[0] / 2
    grasp = (middle + rng.normal(0, 14), middle + rng.normal(0, 14))
    matrix: NDArray[Any] = cv2.getRotationMatrix2D(grasp, angle, float(scale))
    matrix[:, 2] += target - np.array(grasp)
    warped = cv2.warpAffine(sprite, matrix, (INPUT_PX, INPUT_PX), flags=cv2.INTER_LINEAR).astype(np.float32)
    return shaded_hand(rng, warped, skin)


def shaded_hand(rng: np.random.Generator, sprite: Float, skin: NDArray[Any]) -> Occluder:
    """Give a hand (N, N, 2), shading and alpha of `hand_shapes`, a colour like that of the face."""
    shading, alpha = sprite[..., 0] / 200, sprite[..., 1] / 255
    contrast = rng.uniform(0.5, 1.3)
    colours = _skin_like(rng, skin) * np.clip(1 + contrast * (shading[..., None] - 0.85), 0.1, 1.6)
    colours = colours * (1 + 0.04 * noise(rng, rng.uniform(1.5, 5), edge=len(sprite))[..., None])
    _outline(rng, colours, alpha)
    return Occluder(np.clip(colours, 0, 255).astype(np.float32), alpha)


def _outline(rng: np.random.Generator, colours: Picture, alpha: Float) -> None:
    """Darken the rim, as the sides of fingers are, in place."""
    if rng.random() < 0.6:
        rim = np.clip(2 * (cv2.GaussianBlur(alpha, (0, 0), rng.uniform(0.8, 2.5)) - 0.5), 0, 1)
        colours *= (1 - rng.uniform(0, 0.5) * (1 - rim))[..., None]


def _fingers(
    rng: np.random.Generator, points: NDArray[Any], skin: NDArray[Any], target: NDArray[Any], edge: int = INPUT_PX
) -> Occluder:
    """One to four straight fingers, or a fist, as thick shaded lines from below or the side."""
    height = float(np.linalg.norm(points[10] - points[152]))
    thick = height * rng.uniform(0.07, 0.12)
    direction = rng.normal(np.pi / 2, 0.9)
    along = np.array([np.cos(direction), np.sin(direction)])
    across = np.array([-along[1], along[0]])
    alpha = np.zeros((edge, edge), np.float32)
    colours = np.zeros((edge, edge, 3), np.float32)
    base = _skin_like(rng, skin)
    count = int(rng.integers(1, 5))
    y, x = np.mgrid[0:edge, 0:edge].astype(np.float32)
    for number in range(count):
        tip = target + across * thick * 1.05 * (number - (count - 1) / 2) + along * rng.uniform(-0.1, 0.15) * height
        spread = along + across * rng.normal(0, 0.12)
        length = height * rng.uniform(0.3, 1.0)
        to = np.stack([x - tip[0], y - tip[1]], axis=-1)
        place = np.clip(to @ spread, 0, length)
        away = np.linalg.norm(to - place[..., None] * spread, axis=-1) / (thick / 2)
        one = np.clip((1 - away) * thick / 2 + 0.5, 0, 1)
        shading = np.sqrt(np.clip(1 - 0.8 * away**2, 0.05, 1)) * rng.uniform(0.85, 1.1)
        colours += one[..., None] * (base * shading[..., None] - colours)
        alpha = np.maximum(alpha, one)
    if rng.random() < 0.6:
        palm = target + along * height * rng.uniform(0.3, 0.6)
        share = blob(rng, palm, thick * rng.uniform(1.5, 2.6), edge=edge)
        colours += share[..., None] * (base * rng.uniform(0.8, 1.1) * lighting(rng, 0.25, edge=edge) - colours)
        alpha = np.maximum(alpha, share)
    return Occluder(
        np.clip(colours * (1 + 0.03 * noise(rng, 2, edge=edge)[..., None]), 0, 255).astype(np.float32), alpha
    )


def face_mask(rng: np.random.Generator, points: NDArray[Any], edge: int = INPUT_PX) -> Occluder:
    """A medical or cloth mask with folds and bands, before a face with landmarks ``points`` (468, 2), pixels."""
    top = points[list(_MASK_TOP)].astype(np.float64)
    low = points[list(_MASK_LOW)].astype(np.float64)
    drop = rng.choice([0.0, rng.uniform(0, 0.25)]) * np.linalg.norm(points[6] - points[152])
    cut = int(rng.integers(0, 4))
    top = top[cut : len(top) - cut] + np.array([0, drop]) + rng.normal(0, 0.8, 2)
    width = edge // INPUT_PX
    middle = low.mean(axis=0)
    low = middle + (low - middle) * rng.uniform(1.0, 1.14) + [0, rng.uniform(-1, 3)]
    alpha = polygon(np.vstack([top, low]), edge=edge)
    kind = rng.random()
    if kind < 0.45:
        base = np.array([(235, 235, 235), (170, 205, 225), (185, 225, 215), (35, 35, 40), (240, 215, 220)])[
            rng.integers(5)
        ] * rng.uniform(0.75, 1.05)
        colours = np.tile(base.astype(np.float32), (edge, edge, 1))
    else:
        colours = texture(rng, edge=edge)
    share = np.ones((edge, edge), np.float32)
    for level in np.linspace(0.25, 0.8, int(rng.integers(0, 5))):
        left, right = (1 - level) * top[0] + level * low[-1], (1 - level) * top[-1] + level * low[0]
        centre = (1 - level) * points[6] + level * points[152]
        strokes(share, rng, np.array([left, centre, right]), np.array([rng.uniform(0.6, 0.9)]), width)
    round_ = cv2.GaussianBlur(alpha, (0, 0), rng.uniform(4, 12) * (edge / INPUT_PX))
    colours = colours * share[..., None] * np.clip(0.35 + 0.85 * round_, 0.3, 1.15)[..., None]
    colours = np.asarray(colours * lighting(rng, rng.uniform(0, 0.35), edge=edge), np.float32)
    if rng.random() < 0.6:
        for start, ear in (
            (top[0], points[127]),
            (top[-1], points[356]),
            (low[0], points[356]),
            (low[-1], points[127]),
        ):
            band = np.zeros_like(alpha)
            strokes(band, rng, np.array([start, ear]), np.array([1.0]), width)
            alpha = np.maximum(alpha, np.clip(band, 0, 1))
            colours += band[..., None] * (225 - colours)
    return Occluder(np.clip(colours, 0, 255), alpha)


def held_object(
    rng: np.random.Generator,
    points: NDArray[Any],
    skin: NDArray[Any],
    target: NDArray[Any],
    kind: str | None = None,
    edge: int = INPUT_PX,
) -> Occluder:
    """A microphone, cup, phone or stick, sometimes held by fingers.

    Args:
        rng: random generator.
        points: (468, 2) landmarks of the face, pixels.
        skin: (3,) mean skin colour of the face.
        target: (2,) place of the object, pixels.
        kind: one of `OBJECTS`; None: draw one.
        edge: width and height of the picture, pixels.
    """
    height = float(np.linalg.norm(points[10] - points[152]))
    kind = str(rng.choice(OBJECTS)) if kind is None else kind
    turn = rng.normal(0, 0.6)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    colours = texture(rng, edge=edge)
    if kind == "microphone":
        radius = height * rng.uniform(0.1, 0.22)
        alpha = np.zeros((edge, edge), np.float32)
        cv2.circle(alpha, [int(8 * value) for value in target], int(8 * radius), (1.0,), -1, cv2.LINE_AA, 3)
        body = np.array([[-0.6, 0.3], [0.6, 0.3], [0.45, 6], [-0.45, 6]]) * radius
        alpha = np.maximum(alpha, polygon(body @ rotation.T + target, edge=edge))
        grey = rng.uniform(5, 130)
        colours = grey * (1 + 0.3 * noise(rng, 1.3, edge=edge)[..., None]) * np.ones(3)
    elif kind == "cup":
        wide, tall = height * rng.uniform(0.15, 0.3), height * rng.uniform(0.35, 0.7)
        corners = np.array([[-wide, -0.1 * tall], [wide, -0.1 * tall], [0.8 * wide, tall], [-0.8 * wide, tall]])
        alpha = polygon(corners @ rotation.T + target, edge=edge)
        across = (np.mgrid[0:edge, 0:edge][1] - target[0]) / wide
        colours = colours * np.clip(1.1 - 0.5 * across**2, 0.3, 1.2)[..., None]
    elif kind == "phone":
        wide, tall = height * rng.uniform(0.15, 0.25), height * rng.uniform(0.35, 0.55)
        corners = np.array([[-wide, -tall], [wide, -tall], [wide, tall], [-wide, tall]])
        alpha = polygon(corners @ rotation.T + target, edge=edge)
        if rng.random() < 0.6:
            colours = np.full_like(colours, rng.uniform(5, 60)) * lighting(rng, 0.4, edge=edge)
    else:
        end = target + height * rng.uniform(0.5, 1.5) * np.array([np.sin(turn), abs(np.cos(turn))])
        alpha = np.zeros((edge, edge), np.float32)
        strokes(alpha, rng, np.array([target, end]), np.array([1.0]), int(rng.integers(3, 12)))
        alpha = np.clip(alpha, 0, 1)
    colours = np.clip(colours * lighting(rng, 0.2, edge=edge), 0, 255).astype(np.float32)
    if rng.random() < 0.5:
        held = _fingers(rng, points, skin, target + rotation @ np.array([0, height * rng.uniform(0.1, 0.5)]), edge)
        colours = colours + held.alpha[..., None] * (held.colours - colours)
        alpha = np.maximum(alpha, held.alpha)
    return Occluder(colours, np.asarray(alpha, np.float32))


def _shape(rng: np.random.Generator, points: NDArray[Any], skin: NDArray[Any], target: NDArray[Any]) -> Occluder:
    """A random outline with a random texture or a plain skin colour; or dark glasses."""
    height = float(np.linalg.norm(points[10] - points[152]))
    if rng.random() < 0.12:
        alpha = np.zeros((INPUT_PX, INPUT_PX), np.float32)
        for ring in (LEFT_EYE, RIGHT_EYE):
            eye = points[list(ring)].mean(axis=0) + np.array([0, 0.02 * height])
            alpha = np.maximum(alpha, blob(rng, eye, height * rng.uniform(0.13, 0.18)))
        colours = np.full((INPUT_PX, INPUT_PX, 3), rng.uniform(0, 40), np.float32) * lighting(rng, 0.6)
        return Occluder(np.asarray(colours, np.float32), alpha)
    alpha = blob(rng, target, height * rng.uniform(0.12, 0.5))
    if rng.random() < 0.5:
        colours = _skin_like(rng, skin) * lighting(rng, rng.uniform(0.1, 0.4))
        colours = np.asarray(colours + 6 * noise(rng, rng.uniform(1.5, 12), 1.0, 3), np.float32)
        _outline(rng, colours, alpha)
    else:
        colours = texture(rng)
    return Occluder(np.clip(colours, 0, 255).astype(np.float32), alpha)
