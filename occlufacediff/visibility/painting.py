"""Random textures, shapes and colour changes; drawn at the size of the network's input unless another is given."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from occlufacediff.visibility.inputs import INPUT_PX

Float = NDArray[Any]
Picture = NDArray[Any]


def noise(
    rng: np.random.Generator, coarseness: float, stretch: float = 1.0, channels: int = 1, *, edge: int = INPUT_PX
) -> Float:
    """Smooth noise (edge, edge[, channels]) of about unit spread; features span ``coarseness`` pixels.

    Args:
        rng: random generator.
        coarseness: size of features across, pixels.
        stretch: size along the vertical, in multiples of ``coarseness``.
        channels: number of channels.
        edge: width and height, pixels.
    """
    rows = max(2, int(edge / (coarseness * stretch)) + 1)
    columns = max(2, int(edge / coarseness) + 1)
    small = rng.standard_normal((rows, columns, channels)).astype(np.float32)
    out: Float = cv2.resize(small, (edge, edge), interpolation=cv2.INTER_CUBIC)
    return out


def texture(rng: np.random.Generator, *, edge: int = INPUT_PX) -> Picture:
    """Random texture (edge, edge, 3), 0 to 255: a plain colour, stripes, checks, blots, noise or rectangles."""
    base = rng.uniform(0, 255, 3).astype(np.float32)
    if rng.random() < 0.4:
        base[:] = base.mean() + rng.normal(0, 8, 3)
    out = np.tile(base, (edge, edge, 1))
    other = rng.uniform(0, 255, 3).astype(np.float32)
    kind = rng.choice(
        ["plain", "stripes", "checks", "blots", "noise", "rectangles"], p=[0.35, 0.15, 0.1, 0.15, 0.15, 0.1]
    )
    if kind in ("stripes", "checks"):
        angle, period = rng.uniform(0, np.pi), rng.uniform(3, 24)
        y, x = np.mgrid[0:edge, 0:edge].astype(np.float32)
        wave = np.sin(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / period)
        if kind == "checks":
            wave = wave * np.sin(2 * np.pi * (-x * np.sin(angle) + y * np.cos(angle)) / period)
        share = np.clip(0.5 + rng.uniform(0.5, 4) * wave, 0, 1)[..., None]
        out = out + share * (other - out)
    elif kind == "blots":
        share = np.clip(0.5 + 2 * noise(rng, rng.uniform(4, 25), edge=edge), 0, 1)[..., None]
        out = out + share * (other - out)
    elif kind == "noise":
        out = out + rng.uniform(5, 40) * noise(rng, rng.uniform(1.2, 8), rng.uniform(0.5, 3), 3, edge=edge)
    elif kind == "rectangles":
        for _ in range(int(rng.integers(3, 12))):
            low, high = np.sort(rng.integers(-20, edge + 20, (2, 2)), axis=0)
            cv2.rectangle(out, low.tolist(), high.tolist(), rng.uniform(0, 255, 3).tolist(), -1)
    return np.clip(out * lighting(rng, rng.uniform(0, 0.5), edge=edge), 0, 255)


def lighting(rng: np.random.Generator, strength: float, *, edge: int = INPUT_PX) -> Float:
    """Smooth factor (edge, edge, 1) around 1: a gradient in a random direction and slow noise."""
    y, x = np.mgrid[-1 : 1 : edge * 1j, -1 : 1 : edge * 1j].astype(np.float32)
    angle = rng.uniform(0, 2 * np.pi)
    slope = np.cos(angle) * x + np.sin(angle) * y + 0.4 * noise(rng, 40 * edge / INPUT_PX, edge=edge)
    return np.asarray(np.clip(1 + strength * slope, 0.1, 2.5)[..., None], np.float32)


def blob(rng: np.random.Generator, centre: NDArray[Any], radius: float, *, edge: int = INPUT_PX) -> Float:
    """Alpha (edge, edge) of a random smooth outline around ``centre``, pixels."""
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    length = np.ones(24)
    for order in range(1, 5):
        length += rng.normal(0, 0.25 / order) * np.cos(order * angles + rng.uniform(0, 6.28))
    length = radius * np.clip(length, 0.3, 2)
    aspect = rng.uniform(0.5, 1.0)
    turn = rng.uniform(0, np.pi)
    points = np.stack([np.cos(angles) * length, aspect * np.sin(angles) * length], axis=-1)
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return polygon(points @ matrix.T + centre, edge=edge)


def polygon(points: NDArray[Any], *, edge: int = INPUT_PX) -> Float:
    """Alpha (edge, edge) of a filled polygon (N, 2), pixels."""
    out = np.zeros((edge, edge), np.uint8)
    fixed = np.clip(np.round(points * 8), -30000, 30000).astype(np.int32)
    cv2.fillPoly(out, [fixed], (255,), cv2.LINE_AA, shift=3)
    return out.astype(np.float32) / 255


def strokes(out: Picture, rng: np.random.Generator, points: NDArray[Any], colour: NDArray[Any], width: int) -> None:
    """Draw a line through ``points`` (N, 2), pixels, in place."""
    fixed = np.clip(np.round(points * 8), -30000, 30000).astype(np.int32)
    jitter = np.clip(colour * rng.uniform(0.8, 1.2), 0, 255).tolist()
    cv2.polylines(out, [fixed], False, jitter, width, cv2.LINE_AA, shift=3)


def motion_blur(image: Float, rng: np.random.Generator, longest: float) -> Float:
    """Blur along a random direction."""
    length = int(rng.uniform(2, longest)) | 1
    kernel = np.zeros((length, length), np.float32)
    angle = rng.uniform(0, np.pi)
    half = length // 2
    end = (round(half + half * np.cos(angle)), round(half + half * np.sin(angle)))
    cv2.line(kernel, (2 * half - end[0], 2 * half - end[1]), end, (1.0,))
    blurred: Float = cv2.filter2D(image, -1, kernel / kernel.sum())
    return blurred


def degrade(image: Picture, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Change light, colour, sharpness and compression of a picture (112, 112, 3) at random."""
    if rng.random() < 0.9:
        image = image * (1 + rng.normal(0, 0.1, 3).astype(np.float32)) * np.float32(rng.uniform(0.5, 1.4))
    if rng.random() < 0.3:
        image = image * lighting(rng, rng.uniform(0, 0.6))
    image = 255 * (np.clip(image, 0, 255) / 255) ** np.float32(np.exp(rng.normal(0, 0.3)))
    middle = np.float32(rng.uniform(70, 170))
    image = (image - middle) * np.float32(rng.uniform(0.5, 1.25)) + middle
    if rng.random() < 0.5:
        grey = image.mean(axis=-1, keepdims=True)
        image = grey + np.float32(rng.choice([0.0, rng.uniform(0.3, 1.5)], p=[0.12, 0.88])) * (image - grey)
    chance = rng.random()
    if chance < 0.35:
        edge = int(rng.uniform(36, 100))
        small = cv2.resize(image, (edge, edge), interpolation=cv2.INTER_AREA)
        image = cv2.resize(small, (INPUT_PX, INPUT_PX), interpolation=cv2.INTER_LINEAR)
    elif chance < 0.55:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.6))
    elif chance < 0.65:
        image = motion_blur(image, rng, 7)
    elif chance < 0.8:
        # Broadcast and phone cameras sharpen.
        soft = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.8, 2.0))
        image = image + np.float32(rng.uniform(0.3, 1.5)) * (image - soft)
    if rng.random() < 0.1:
        y, x = np.mgrid[0:INPUT_PX, 0:INPUT_PX]
        image = image + np.float32(rng.uniform(3, 12)) * ((x + y) % 2 * 2 - 1)[..., None]
    if rng.random() < 0.6:
        spread = rng.uniform(1, 12)
        image = image + (spread * noise(rng, rng.choice([1.0, 2.0]), 1.0, 3))
    out = np.clip(image, 0, 255).astype(np.uint8)
    if rng.random() < 0.6:
        coded = cv2.imencode(".jpg", out, [cv2.IMWRITE_JPEG_QUALITY, int(rng.uniform(20, 95))])[1]
        out = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)
    return out
