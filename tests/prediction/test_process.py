"""The Gaussian process agrees with the multivariate normal distribution."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from occlufacediff.config.adaptation import AdaptationSettings
from occlufacediff.prediction.gaussian_process import Process

FRAMES, VALUES = 60, 3
RNG = np.random.default_rng(12)
PROCESS = Process(RNG.standard_normal((FRAMES, VALUES)), RNG.standard_normal((FRAMES, 4)), AdaptationSettings())
ROWS = np.array([3, 4, 40, 5])


def whole(process: Process, frames: np.ndarray, column: int) -> np.ndarray:
    """Covariance of noisy values of one coefficient at these frames, with the gain's term."""
    s, pull = process.settings, process.pull[frames, column]
    noise = s.noise_sd**2 * np.eye(len(frames))
    return process.covariance(frames, frames) + s.gain_sd**2 * np.outer(pull, pull) + noise


def test_the_variance_is_the_diagonal_of_the_covariance() -> None:
    covariance = PROCESS.covariance(ROWS, ROWS)
    np.testing.assert_allclose(PROCESS.variance(ROWS), np.diag(covariance), rtol=1e-12)
    without, columns = replace(PROCESS, columns=PROCESS.columns[:, :0]), PROCESS.columns[ROWS]
    np.testing.assert_allclose(covariance - without.covariance(ROWS, ROWS), columns @ columns.T, atol=1e-12)


def test_the_likelihood_is_that_of_a_normal_distribution() -> None:
    """Up to a constant that depends on the number of frames and coefficients only."""
    context = np.arange(10, 40)
    shown, kernel = RNG.standard_normal((30, VALUES)), PROCESS.kernel(context[:, None] - context)
    expected = sum(
        multivariate_normal.logpdf(
            shown[:, one], PROCESS.settings.gain * PROCESS.pull[context, one], whole(PROCESS, context, one)
        )
        for one in range(VALUES)
    )
    constant = -0.5 * 30 * VALUES * np.log(2 * np.pi)
    assert PROCESS.likelihood(context, shown, kernel) == pytest.approx(expected - constant)


def test_the_posterior_is_that_of_a_normal_distribution() -> None:
    context, run = np.concatenate([np.arange(20), np.arange(40, 60)]), np.arange(20, 40)
    shown, s = RNG.standard_normal((40, VALUES)), PROCESS.settings
    mean, deviation = PROCESS.posterior(run, context, shown)
    for one in range(VALUES):
        pull = PROCESS.pull[:, one]
        across = PROCESS.covariance(run, context) + s.gain_sd**2 * np.outer(pull[run], pull[context])
        solved = np.linalg.solve(whole(PROCESS, context, one), across.T)
        own = PROCESS.covariance(run, run) + s.gain_sd**2 * np.outer(pull[run], pull[run])
        np.testing.assert_allclose(
            mean[:, one], s.gain * pull[run] + solved.T @ (shown[:, one] - s.gain * pull[context])
        )
        np.testing.assert_allclose(deviation[:, one] ** 2, np.diag(own - across @ solved), rtol=1e-8)


def test_long_runs_are_processed_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    context, run = np.concatenate([np.arange(20), np.arange(50, 60)]), np.arange(20, 50)
    shown = RNG.standard_normal((30, VALUES))
    whole_run = PROCESS.posterior(run, context, shown)
    sizes = []
    covariance = Process.covariance

    def counted(self: Process, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        sizes.append(len(columns))
        return covariance(self, rows, columns)

    monkeypatch.setattr(Process, "covariance", counted)
    monkeypatch.setattr("occlufacediff.prediction.gaussian_process._BLOCK", 8)
    for one, other in zip(PROCESS.posterior(run, context, shown), whole_run, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10)
    assert max(sizes) <= 8 and sum(sizes) == len(run)
