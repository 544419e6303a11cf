"""Samplers for networks that predict x0: DDIM (eta 0) as published, and DPM-Solver++ 2M for few steps.

A sampler is independent of the network: it calls ``predict(x, index)`` with an index into its ``steps``.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from occlufacediff.models.schedule import NoiseSchedule

#: Predicts the clean sample (shaped as x) from a noisy one at the index-th step of the sampler.
Predict = Callable[[Tensor, int], Tensor]


def clip_noise(seed: int, clip_id: str, shape: tuple[int, ...], sample: int = 0) -> Tensor:
    """Standard normal noise, float32 on the CPU, that depends on seed, clip and sample index only.

    With a longer first axis, the noise starts with the same values.
    """
    digest = hashlib.sha256(f"{seed}/{clip_id}/{sample}".encode()).digest()
    rng = np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "little")))
    return torch.from_numpy(rng.standard_normal(shape, dtype=np.float32))


class Ddim:
    """DDIM with eta 0 on the steps of a (respaced) schedule, from the noisiest to the cleanest.

    Args:
        schedule: the respaced schedule, for example ``NoiseSchedule.cosine().respaced("100")``.
    """

    def __init__(self, schedule: NoiseSchedule) -> None:
        self.schedule = schedule
        #: Original step numbers, in the order of sampling.
        self.steps: list[int] = schedule.timestep_map.flip(0).tolist()

    def sample(
        self,
        predict: Predict,
        noise: Tensor,
        *,
        clip: float | None = None,
        inpaint: tuple[Tensor, Tensor] | None = None,
        watch: Callable[[int, Tensor], None] | None = None,
    ) -> Tensor:
        """Run all steps.

        Args:
            predict: the network.
            noise: (B, N, D) initial noise.
            clip: bound of the predicted clean samples; None for no bound.
            inpaint: mask (B, N) and values (B, N, D), which replace the prediction where the mask is 1.
            watch: called after each step with its index and the sample.

        Returns:
            (B, N, D) clean sample.
        """
        x = noise
        kept, before = self.schedule.alphas_cumprod, self.schedule.alphas_cumprod_prev.to(noise.dtype)
        # Rounded to the sample's type at the same points as in the published code: this changes the noisiest steps by
        # 1e-5.
        x_scale = (1 / kept).sqrt().to(noise.dtype).tolist()
        noise_scale = (1 / kept - 1).sqrt().to(noise.dtype).tolist()
        signal, residual = before.sqrt().tolist(), (1 - before).sqrt().tolist()
        for index in range(len(self.steps)):
            step = len(self.steps) - 1 - index
            x0 = _constrain(predict(x, index), clip, inpaint)
            epsilon = (x_scale[step] * x - x0) / noise_scale[step]
            x = signal[step] * x0 + residual[step] * epsilon
            if watch is not None:
                watch(index, x)
        return x


def log_snr_steps(kept: NDArray[np.float64], steps: int) -> NDArray[np.int64]:
    """Indices (steps,) into a schedule, noisiest first, for a solver with few steps.

    The noisiest step, followed by steps that are evenly spaced in ``log(kept / (1 - kept)) / 2`` (half the log SNR)
    from 97 % of the schedule to its clean end. Above 97 % the log SNR falls without bound while samples are noise.
    With ten steps, even spacing in time is three times as far from DDIM-100 (docs/results/sampling.md).

    Args:
        kept: (S,) cumulative alpha products of the schedule, decreasing.
        steps: number of steps, 1 to S.
    """
    last = len(kept) - 1
    log_snr = 0.5 * np.log(kept / (1 - kept))
    targets = np.linspace(log_snr[0], log_snr[round(0.97 * last)], steps - 1)
    order = np.arange(steps - 1)
    indices = np.round(np.interp(-targets, -log_snr, np.arange(last + 1))).astype(np.int64)
    # Make the indices distinct: many targets fall on the same step at the clean end.
    indices = np.minimum(np.maximum.accumulate(indices - order), last - steps + 1) + order
    return np.concatenate([[last], indices[::-1]]).astype(np.int64)


class DpmSolver:
    """DPM-Solver++ (2M), a second-order multistep solver with one network call per step (Lu et al. 2022).

    With ``lambda = log(alpha / sigma)``, ``h`` the increase of lambda over a step and ``r = h_before / h``:
    ``D = (1 + 1 / (2 r)) x0 - 1 / (2 r) x0_before``; ``x = sigma' / sigma x - alpha' (exp(-h) - 1) D``.
    The last step ends at zero noise, where x is the prediction itself.

    Args:
        schedule: the full schedule.
        steps: number of steps, from 1 to the number of steps of the schedule.
    """

    def __init__(self, schedule: NoiseSchedule, steps: int) -> None:
        if not 1 <= steps <= schedule.steps:
            raise ValueError(f"steps: got {steps}, needs 1 to {schedule.steps}")
        products = schedule.alphas_cumprod.cpu().numpy()
        indices = log_snr_steps(products, steps)
        kept = products[indices]
        self.steps: list[int] = schedule.timestep_map.cpu().numpy()[indices].tolist()
        self._alpha = np.sqrt(kept)
        self._sigma = np.sqrt(1 - kept)

    def sample(
        self,
        predict: Predict,
        noise: Tensor,
        *,
        clip: float | None = None,
        inpaint: tuple[Tensor, Tensor] | None = None,
        watch: Callable[[int, Tensor], None] | None = None,
    ) -> Tensor:
        """As ``Ddim.sample``."""
        log_snr = np.log(self._alpha / self._sigma)
        x = noise
        x0_before: Tensor | None = None
        for index in range(len(self.steps)):
            x0 = _constrain(predict(x, index), clip, inpaint)
            if index + 1 == len(self.steps):
                x = x0
            else:
                step = float(log_snr[index + 1] - log_snr[index])
                direction = x0
                if x0_before is not None:
                    half = 0.5 * step / float(log_snr[index] - log_snr[index - 1])
                    direction = (1 + half) * x0 - half * x0_before
                ratio = float(self._sigma[index + 1] / self._sigma[index])
                x = ratio * x - float(self._alpha[index + 1]) * math.expm1(-step) * direction
            x0_before = x0
            if watch is not None:
                watch(index, x)
        return x


def _constrain(x0: Tensor, clip: float | None, inpaint: tuple[Tensor, Tensor] | None) -> Tensor:
    """Clip a predicted clean sample and replace its inpainted part."""
    if clip is not None:
        x0 = x0.clamp(-clip, clip)
    if inpaint is not None:
        mask, values = inpaint
        x0 = torch.where(mask[..., None] > 0, values, x0)
    return x0
