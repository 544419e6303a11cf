"""The noise schedule: its terms as float64 buffers, and respaced schedules with fewer steps."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn


def cosine_betas(steps: int = 1000, *, largest: float = 0.999) -> np.ndarray:
    """Cosine betas (steps,), float64.

    ``abar(t) = cos^2((t + 0.008) / 1.008 * pi / 2)``,
    ``beta_i = min(1 - abar((i + 1) / steps) / abar(i / steps), largest)``.
    """

    def kept(t: np.ndarray) -> np.ndarray:
        return np.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2

    i = np.arange(steps, dtype=np.float64)
    return np.minimum(1 - kept((i + 1) / steps) / kept(i / steps), largest)


def spaced_steps(total: int, counts: str) -> np.ndarray:
    """Select steps of a schedule, ascending (n,) int64.

    Args:
        total: steps of the full schedule.
        counts: "n1,n2,..." (or one "n"): the schedule is split into as many equal sections, with n_i evenly spaced,
            rounded steps in each, including its first and last. "ddimN": every k-th step, where the integer k leaves
            exactly N steps.

    Raises:
        ValueError: the schedule cannot be split like this.
    """
    if counts.startswith("ddim"):
        wanted = int(counts.removeprefix("ddim"))
        for every in range(1, total + 1):
            steps = np.arange(0, total, every)
            if len(steps) == wanted:
                return steps
        raise ValueError(f"steps: got {counts!r}, but no integer stride leaves {wanted} of {total} steps")
    sections = [int(count) for count in counts.split(",")]
    sizes = [total // len(sections) + (i < total % len(sections)) for i in range(len(sections))]
    kept: list[np.ndarray] = []
    start = 0
    for size, count in zip(sizes, sections, strict=True):
        if not 1 <= count <= size:
            raise ValueError(f"steps: got {count} for a section of {size} steps, needs 1 to {size}")
        stride = 1.0 if count == 1 else (size - 1) / (count - 1)
        # A cumulative sum, as published: 7 strides of 99 / 14 then round to 49 instead of 50.
        positions = np.concatenate([[0.0], np.cumsum(np.full(count - 1, stride))])
        kept.append(start + np.round(positions).astype(np.int64))
        start += size
    return np.concatenate(kept)


class NoiseSchedule(nn.Module):
    """Gaussian diffusion ``x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) noise``; its terms are (S,) float64 buffers.

    Args:
        betas: (S,) float64.
        timestep_map: (S,) original step numbers, which are inputs of the network; None means 0..S-1.
    """

    betas: Tensor
    timestep_map: Tensor
    alphas_cumprod: Tensor
    alphas_cumprod_prev: Tensor
    posterior_variance: Tensor
    posterior_log_variance_clipped: Tensor
    posterior_mean_coef1: Tensor
    posterior_mean_coef2: Tensor

    def __init__(self, betas: np.ndarray, timestep_map: np.ndarray | None = None) -> None:
        super().__init__()
        betas = np.asarray(betas, dtype=np.float64)
        if betas.ndim != 1 or len(betas) == 0 or not ((betas > 0) & (betas <= 1)).all():
            raise ValueError("betas: needs one dimension and values greater than 0 and at most 1")
        alphas = 1 - betas
        kept = np.cumprod(alphas)
        before = np.concatenate([[1.0], kept[:-1]])
        variance = betas * (1 - before) / (1 - kept)
        # The first variance is 0; its logarithm is replaced by the next one.
        log_variance = np.log(np.concatenate([variance[1:2], variance[1:]])) if len(betas) > 1 else np.log(betas)
        terms = {
            "betas": betas,
            "timestep_map": np.arange(len(betas)) if timestep_map is None else np.asarray(timestep_map, np.int64),
            "alphas_cumprod": kept,
            "alphas_cumprod_prev": before,
            "posterior_variance": variance,
            "posterior_log_variance_clipped": log_variance,
            "posterior_mean_coef1": betas * np.sqrt(before) / (1 - kept),
            "posterior_mean_coef2": (1 - before) * np.sqrt(alphas) / (1 - kept),
        }
        for name, values in terms.items():
            self.register_buffer(name, torch.from_numpy(values.copy()), persistent=False)

    @classmethod
    def cosine(cls, steps: int = 1000) -> NoiseSchedule:
        """The published schedule."""
        return cls(cosine_betas(steps))

    @property
    def steps(self) -> int:
        """Number of steps."""
        return len(self.betas)

    def respaced(self, counts: str) -> NoiseSchedule:
        """The schedule of the selected steps (``spaced_steps``); betas are recomputed from their alpha products."""
        kept = spaced_steps(self.steps, counts)
        products = self.alphas_cumprod.cpu().numpy()[kept]
        betas = 1 - products / np.concatenate([[1.0], products[:-1]])
        respaced = NoiseSchedule(betas, self.timestep_map.cpu().numpy()[kept])
        return respaced.to(self.betas.device)

    def add_noise(self, x0: Tensor, index: Tensor, noise: Tensor) -> Tensor:
        """Noisy samples ``x_t`` (B, ...) of clean x0 (B, ...) at schedule indices (B,) with standard normal noise."""
        return (
            self._at(self.alphas_cumprod.sqrt(), index, x0) * x0
            + self._at((1 - self.alphas_cumprod).sqrt(), index, x0) * noise
        )

    def posterior(self, x0: Tensor, x_t: Tensor, index: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Mean (B, ...), variance (B,) and clipped log-variance (B,) of ``q(x_{t-1} | x_t, x_0)``."""
        mean = (
            self._at(self.posterior_mean_coef1, index, x0) * x0 + self._at(self.posterior_mean_coef2, index, x0) * x_t
        )
        return (
            mean,
            self.posterior_variance[index].to(x0.dtype),
            self.posterior_log_variance_clipped[index].to(x0.dtype),
        )

    @staticmethod
    def _at(term: Tensor, index: Tensor, like: Tensor) -> Tensor:
        return term[index].to(like.dtype).reshape(-1, *([1] * (like.dim() - 1)))
