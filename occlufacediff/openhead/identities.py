"""Identity basis: principal components of heads sampled from MakeHuman's shape targets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from occlufacediff.openhead.makehuman import BaseHead, local_changes

Float = NDArray[np.float64]

_FOLDERS = ("head", "forehead", "eyebrows", "neck", "eyes", "nose", "mouth", "ears", "chin", "cheek")
_AGES = {"child": 1 / 3, "young": 2 / 3, "old": 1.0}
_GENDERS = ("female", "male")
_RACES = ("african", "asian", "caucasian")
_LEVELS = ("min", "average", "max")
#: Independent share of the right side of a face, relative to the spread.
_ASYMMETRY = 0.2


@dataclass(frozen=True)
class IdentityBasis:
    """Mean head and principal directions of identity.

    Attributes:
        mean: (V, 3) metres.
        directions: (V, 3, S) metres per standard deviation.
        explained: share of the sampled variance that the S directions explain.
    """

    mean: Float
    directions: Float
    explained: float


def identity_basis(
    head: BaseHead, face: NDArray[np.int64], *, count: int, components: int, local_spread: float, seed: int
) -> IdentityBasis:
    """Sample ``count`` heads and keep ``components`` principal directions, each of unit variance.

    Sampled heads are aligned to the template by the similarity transform that fits their ``face`` vertices best.
    Position, rotation and size are left to the camera, so that fits are unique.
    """
    rng = np.random.default_rng(seed)
    amounts, targets = zip(*_phenotypes(head, rng, count), *_locals(head, rng, count, local_spread), strict=True)
    offsets = np.stack(amounts, axis=1) @ np.stack(targets).reshape(len(targets), -1)
    heads = head.vertices + offsets.reshape(count, -1, 3)
    aligned = np.stack([_align(one, head.vertices, face) for one in heads])
    # The mean of the aligned heads is slightly displaced; a second alignment removes this.
    middle = aligned.mean(axis=0)
    aligned = np.stack([_align(one, middle, face) for one in aligned])
    mean = aligned.mean(axis=0)
    centred = (aligned - mean).reshape(count, -1)
    values, vectors = np.linalg.eigh(centred @ centred.T / (count - 1))
    order = np.argsort(values)[::-1][:components]
    directions = centred.T @ vectors[:, order] / np.sqrt(count - 1)
    # The sign of eigenvectors is arbitrary: make the largest element positive.
    largest = np.abs(directions).argmax(axis=0)
    directions *= np.sign(directions[largest, np.arange(len(order))])
    explained = float(values[order].sum() / values[values > 0].sum())
    return IdentityBasis(mean, directions.reshape(*mean.shape, -1), explained)


def _phenotypes(head: BaseHead, rng: np.random.Generator, count: int) -> Iterator[tuple[Float, Float]]:
    """Yield (weights (count,), target (V, 3)) of random age, sex, weight, muscle and origin."""
    age = rng.uniform(0.45, 1.0, count)
    gender = np.where(rng.random(count) < 0.5, rng.beta(1, 5, count), rng.beta(5, 1, count))
    weight, muscle = np.clip(rng.normal(0.5, 0.2, (2, count)), 0, 1)
    origin = rng.dirichlet((0.6, 0.6, 0.6), count)
    by_age = _hat(age, np.array(list(_AGES.values())))
    by_gender = np.stack([1 - gender, gender], axis=1)
    by_weight, by_muscle = (_hat(value, np.array([0, 0.5, 1])) for value in (weight, muscle))
    folder = "mpfb2/targets/macrodetails"
    for (a, age_name), (g, gender_name) in product(enumerate(_AGES), enumerate(_GENDERS)):
        share = by_age[:, a] * by_gender[:, g]
        for r, race in enumerate(_RACES):
            yield share * origin[:, r], head.target(f"{folder}/{race}-{gender_name}-{age_name}.target.gz")
        for (m, muscle_name), (w, weight_name) in product(enumerate(_LEVELS), enumerate(_LEVELS)):
            name = f"universal-{gender_name}-{age_name}-{muscle_name}muscle-{weight_name}weight"
            yield share * by_muscle[:, m] * by_weight[:, w], head.target(f"{folder}/{name}.target.gz")


def _locals(head: BaseHead, rng: np.random.Generator, count: int, spread: float) -> Iterator[tuple[Float, Float]]:
    """Yield (weights (count,), target (V, 3)) of random local changes, which are nearly symmetric."""
    left = np.zeros(count)
    for side, negative, positive in local_changes(head.root, _FOLDERS):
        drawn = rng.normal(0, spread, count)
        if side == "right":
            drawn = np.sqrt(1 - _ASYMMETRY**2) * left + _ASYMMETRY * drawn
        left = drawn if side == "left" else left
        value = np.clip(drawn, -1, 1)
        yield np.maximum(value, 0), head.target(positive)
        yield np.maximum(-value, 0), head.target(negative)


def _hat(values: Float, anchors: Float) -> Float:
    """Linear interpolation weights (N, K) of ``values`` (N,) between ``anchors`` (K,), constant beyond the ends."""
    return np.stack([np.interp(values, anchors, row) for row in np.eye(len(anchors))], axis=1)


def _align(vertices: Float, reference: Float, chosen: NDArray[np.int64]) -> Float:
    """Align ``vertices`` (V, 3) to ``reference`` by the similarity that fits the ``chosen`` vertices best."""
    source, target = vertices[chosen], reference[chosen]
    source_mean, target_mean = source.mean(axis=0), target.mean(axis=0)
    source, target = source - source_mean, target - target_mean
    u, s, vt = np.linalg.svd(target.T @ source)
    sign = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    rotation = (u * sign) @ vt
    scale = (s * sign).sum() / (source**2).sum()
    return scale * (vertices - source_mean) @ rotation.T + target_mean
