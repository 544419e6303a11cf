"""How fitted motion differs from true motion, as a linear model: the readers are trained for fitted motion.

In principal components, ``fitted = true A + b + u + e(t)``: u is constant in a clip, e changes over time with the
correlation ``rho`` of neighbouring frames. Both are normal. The model is estimated on clips whose truth is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Variance in mm^2 that is added to the diagonals, so that a few clips suffice.
_RIDGE = 0.01


@dataclass(frozen=True, eq=False)
class FitErrors:
    """The model for K components, in mm.

    Attributes:
        gain: (K, K) A.
        offset: (K,) b.
        clip: (K, K) factor of the covariance of u.
        frame: (K, K) factor of the covariance of e.
        rho: correlation of e in neighbouring frames.
    """

    gain: Floats
    offset: Floats
    clip: Floats
    frame: Floats
    rho: float

    @classmethod
    def estimate(cls, true: Sequence[Floats], fitted: Sequence[Floats]) -> FitErrors:
        """Estimate the model from clips of components (T, K), by least squares.

        Raises:
            ValueError: there are fewer than two clips.
        """
        if len(true) < 2:
            raise ValueError(f"clips with known truth: got {len(true)}, needs two or more")
        x, y = np.concatenate(true), np.concatenate(fitted)
        mean_x, mean_y = x.mean(axis=0), y.mean(axis=0)
        square = (x - mean_x).T @ (x - mean_x) + _RIDGE * len(x) * np.eye(x.shape[1])
        gain = np.linalg.solve(square, (x - mean_x).T @ (y - mean_y))
        offset = mean_y - mean_x @ gain
        left = [b - a @ gain - offset for a, b in zip(true, fitted, strict=True)]
        means = np.stack([part.mean(axis=0) for part in left])
        changes = [part - mean for part, mean in zip(left, means, strict=True)]
        inside = np.concatenate(changes)
        before = np.concatenate([part[:-1] for part in changes])
        after = np.concatenate([part[1:] for part in changes])
        rho = float(np.clip((before * after).sum() / (before**2).sum(), 0.0, 0.99))
        return cls(gain, offset, _factor(means), _factor(inside), rho)

    def apply(self, true: Floats, rng: np.random.Generator, strength: float = 1.0) -> Floats:
        """Components (B, T, K) as a fit would find them: with gain, offset, and random errors times ``strength``."""
        count, frames, size = true.shape
        noise = rng.standard_normal((count, frames, size))
        for frame in range(1, frames):
            noise[:, frame] = self.rho * noise[:, frame - 1] + np.sqrt(1 - self.rho**2) * noise[:, frame]
        clip = rng.standard_normal((count, 1, size)) @ self.clip.T
        return np.asarray(true @ self.gain + self.offset + strength * (clip + noise @ self.frame.T))


def _factor(values: Floats) -> Floats:
    """Cholesky factor of the covariance of rows (N, K)."""
    return np.linalg.cholesky(np.atleast_2d(np.cov(values.T)) + _RIDGE * np.eye(values.shape[1]))
