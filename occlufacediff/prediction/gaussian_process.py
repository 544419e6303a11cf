"""A Gaussian process over the frames for each coefficient of a face: what is expected of it, and what seeing tells.

A coefficient is the motion that it is pulled to, with a gain; terms that move it by weights that nobody knows; its
rest; slow drift; and fast motion (Matern 3/2) that nothing tells.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cholesky, solve_triangular

from occlufacediff.config.adaptation import AdaptationSettings
from occlufacediff.media.rates import FPS

Array = NDArray[np.float64]
Frames = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Process:
    """The prior of N coefficients over T frames, each in units of its spread and about its mean.

    The gain adds ``gain_sd^2 p p^T`` to the covariance, p being a coefficient's pull: a change of rank one, so that one
    factorisation serves all coefficients (Sherman and Morrison).

    Attributes:
        pull: (T, N) the motion that they are pulled to, about its mean over the clip.
        telling: (T, K) columns that move them by weights that are not known, each times the deviation of its weights.
        settings: what is expected.
    """

    pull: Array
    telling: Array
    settings: AdaptationSettings

    def covariance(self, rows: Frames, columns: Frames) -> Array:
        """Of all terms but the gain: the same for all coefficients."""
        return self.kernel(rows[:, None] - columns) + self.telling[rows] @ self.telling[columns].T

    def variance(self, rows: Frames) -> Array:
        """The diagonal of `covariance` of these rows with themselves."""
        return self.kernel(np.zeros_like(rows)) + (self.telling[rows] ** 2).sum(axis=1)

    def kernel(self, frames: Frames) -> Array:
        """Covariance, of so many ``frames`` from each other, of rest, slow drift and fast motion."""
        s, apart = self.settings, np.abs(frames) / FPS
        near = np.sqrt(3.0) * apart / s.fast_s
        slow, fast = s.slow_sd**2 * np.exp(-apart / s.slow_s), s.fast_sd**2 * (1 + near) * np.exp(-near)
        return np.asarray(s.rest_sd**2 + slow + fast)

    def posterior(self, run: Frames, context: Frames, shown: Array) -> tuple[Array, Array]:
        """Mean and standard deviation (R, N) at the frames ``run``, told by what the frames ``context`` show (C, N)."""
        s, gain = self.settings, self.settings.gain_sd**2
        before = s.gain * self.pull[run]
        own = self.variance(run)[:, None]
        if not len(context):
            return before, np.sqrt(own + gain * self.pull[run] ** 2)
        factor = self._factor(context, self.kernel(context[:, None] - context))
        across = solve_triangular(factor, self.covariance(context, run), lower=True)  # (C, R)
        pull, rest = self._whitened(factor, context, shown)
        strength = 1 + gain * (pull**2).sum(axis=0)  # (N,)
        share = (pull * rest).sum(axis=0) / strength
        left = self.pull[run] - across.T @ pull  # pull that the visible frames do not account for
        value = before + across.T @ rest + gain * left * share
        variance = own - (across**2).sum(axis=0)[:, None] + gain * left**2 / strength
        return value, np.sqrt(np.maximum(variance, 0.0))

    def likelihood(self, context: Frames, shown: Array, kernel: Array) -> float:
        """Logarithm, less a constant, of the likelihood of what the frames ``context`` show (C, N), over all N.

        ``kernel`` is `kernel` between these frames, which no pull changes.
        """
        gain, factor = self.settings.gain_sd**2, self._factor(context, kernel)
        pull, rest = self._whitened(factor, context, shown)
        strength = 1 + gain * (pull**2).sum(axis=0)
        missed = (rest**2).sum(axis=0) - gain * (pull * rest).sum(axis=0) ** 2 / strength + np.log(strength)
        return -0.5 * float(missed.sum()) - shown.shape[1] * float(np.log(np.diag(factor)).sum())

    def _factor(self, context: Frames, kernel: Array) -> Array:
        """Lower Cholesky factor of the covariance of what the frames ``context`` show, without the gain's part."""
        telling, noise = self.telling[context], self.settings.noise_sd**2 * np.eye(len(context))
        return np.asarray(cholesky(kernel + telling @ telling.T + noise, lower=True))

    def _whitened(self, factor: Array, context: Frames, shown: Array) -> tuple[Array, Array]:
        """Pull, and what is shown beyond the expected gain (C, N), whitened by the factor."""
        pull = self.pull[context]
        both = solve_triangular(factor, np.concatenate([pull, shown - self.settings.gain * pull], axis=1), lower=True)
        return both[:, : pull.shape[1]], both[:, pull.shape[1] :]
