"""A Gaussian process over frames for each coefficient: its covariance, posterior and likelihood.

A coefficient is the sum of a known motion with an unknown gain (the pull), known columns with unknown weights, a rest
position, slow drift, and fast motion with a Matern 3/2 kernel.
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

#: Frames whose posterior is computed at once; bounds the memory of long runs of occluded frames.
_BLOCK = 4096


@dataclass(frozen=True, eq=False)
class Process:
    """The prior of N coefficients over T frames, each in units of its spread and about its mean.

    The gain adds ``gain_sd^2 p p^T`` to the covariance, p being a coefficient's pull. This change has rank one, so one
    factorisation serves all coefficients (Sherman-Morrison).

    Attributes:
        pull: (T, N) motion that the coefficients follow, about its mean over the clip.
        columns: (T, K) columns with unknown weights, each times the deviation of its weights.
        settings: parameters.
    """

    pull: Array
    columns: Array
    settings: AdaptationSettings

    def covariance(self, rows: Frames, columns: Frames) -> Array:
        """Covariance between frames, without the gain's term; equal for all coefficients."""
        return self.kernel(rows[:, None] - columns) + self.columns[rows] @ self.columns[columns].T

    def variance(self, rows: Frames) -> Array:
        """Diagonal of the `covariance` of ``rows`` with themselves."""
        return self.kernel(np.zeros_like(rows)) + (self.columns[rows] ** 2).sum(axis=1)

    def kernel(self, frames: Frames) -> Array:
        """Covariance of rest, slow drift and fast motion at a distance of ``frames``."""
        s, apart = self.settings, np.abs(frames) / FPS
        near = np.sqrt(3.0) * apart / s.fast_s
        slow, fast = s.slow_sd**2 * np.exp(-apart / s.slow_s), s.fast_sd**2 * (1 + near) * np.exp(-near)
        return np.asarray(s.rest_sd**2 + slow + fast)

    def posterior(self, run: Frames, context: Frames, shown: Array) -> tuple[Array, Array]:
        """Mean and standard deviation (R, N) at the frames ``run``, given values (C, N) at the frames ``context``."""
        if len(run) > _BLOCK:
            blocks = np.array_split(run, -(-len(run) // _BLOCK))
            value, error = zip(*(self.posterior(block, context, shown) for block in blocks), strict=True)
            return np.concatenate(value), np.concatenate(error)
        s, gain = self.settings, self.settings.gain_sd**2
        prior = s.gain * self.pull[run]
        own = self.variance(run)[:, None]
        if not len(context):
            return prior, np.sqrt(own + gain * self.pull[run] ** 2)
        factor = self._factor(context, self.kernel(context[:, None] - context))
        across = solve_triangular(factor, self.covariance(context, run), lower=True)  # (C, R)
        pull, rest = self._whitened(factor, context, shown)
        strength = 1 + gain * (pull**2).sum(axis=0)  # (N,)
        share = (pull * rest).sum(axis=0) / strength
        left = self.pull[run] - across.T @ pull  # pull that the context does not explain
        value = prior + across.T @ rest + gain * left * share
        variance = own - (across**2).sum(axis=0)[:, None] + gain * left**2 / strength
        return value, np.sqrt(np.maximum(variance, 0.0))

    def likelihood(self, context: Frames, shown: Array, kernel: Array) -> float:
        """Log-likelihood, up to a constant, of values (C, N) at the frames ``context``, summed over N.

        ``kernel`` is `kernel` between these frames; it does not depend on the pull.
        """
        gain, factor = self.settings.gain_sd**2, self._factor(context, kernel)
        pull, rest = self._whitened(factor, context, shown)
        strength = 1 + gain * (pull**2).sum(axis=0)
        missed = (rest**2).sum(axis=0) - gain * (pull * rest).sum(axis=0) ** 2 / strength + np.log(strength)
        return -0.5 * float(missed.sum()) - shown.shape[1] * float(np.log(np.diag(factor)).sum())

    def _factor(self, context: Frames, kernel: Array) -> Array:
        """Lower Cholesky factor of the covariance of noisy values at ``context``, without the gain's term."""
        columns, noise = self.columns[context], self.settings.noise_sd**2 * np.eye(len(context))
        return np.asarray(cholesky(kernel + columns @ columns.T + noise, lower=True))

    def _whitened(self, factor: Array, context: Frames, shown: Array) -> tuple[Array, Array]:
        """Pull, and values less the expected gain times the pull (C, N), whitened by ``factor``."""
        pull = self.pull[context]
        both = solve_triangular(factor, np.concatenate([pull, shown - self.settings.gain * pull], axis=1), lower=True)
        return both[:, : pull.shape[1]], both[:, pull.shape[1] :]
