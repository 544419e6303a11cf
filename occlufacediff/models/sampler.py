"""Samplers for x0-predicting networks: DDIM (eta 0) as published and DPM-Solver++ 2M for few steps.

A sampler knows nothing of networks: it calls ``predict(x, index)`` with the index of the step in its ``steps``.
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

#: Predicted clean sample (like x) of a noisy one at the index-th of the sampler's steps.
Predict = Callable[[Tensor, int], Tensor]


def clip_noise(seed: int, clip_id: str, shape: tuple[int, ...], sample: int = 0) -> Tensor:
    """Standard normal noise, float32 on the CPU, that depends on seed, clip and sample number alone.

    The first axis may grow: the noise of a shorter clip is the beginning of a longer one's.
    """
    digest = hashlib.sha256(f"{seed}/{clip_id}/{sample}".encode()).digest()
    rng = np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "little")))
    return torch.from_numpy(rng.standard_normal(shape, dtype=np.float32))


class Ddim:
    """DDIM with eta 0 on the steps of a (respaced) schedule, from the noisiest down.

    Args:
        schedule: only the kept steps, for example ``NoiseSchedule.cosine().respaced("100")``.
    """

    def __init__(self, schedule: NoiseSchedule) -> None:
        self.schedule = schedule
        #: Original step numbers in the order in which they are visited.
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
            noise: (B, N, D) start.
            clip: bound of the predicted clean samples; None for no bound.
            inpaint: mask (B, N) and values (B, N, D): where the mask is 1 the prediction is replaced.
            watch: called with the number of steps done before this one and the state after it.

        Returns:
            (B, N, D) clean sample.
        """
        x = noise
        kept, before = self.schedule.alphas_cumprod, self.schedule.alphas_cumprod_prev.to(noise.dtype)
        # terms rounded to the sample's type where the published program does: 1e-5 hangs on it at the noisiest steps
        grow = (1 / kept).sqrt().to(noise.dtype).tolist()
        spread = (1 / kept - 1).sqrt().to(noise.dtype).tolist()
        signal, rest = before.sqrt().tolist(), (1 - before).sqrt().tolist()
        for index in range(len(self.steps)):
            place = len(self.steps) - 1 - index
            x0 = _settled(predict(x, index), clip, inpaint)
            epsilon = (grow[place] * x - x0) / spread[place]
            x = signal[place] * x0 + rest[place] * epsilon
            if watch is not None:
                watch(index, x)
        return x


def few_steps(kept: NDArray[np.float64], steps: int) -> NDArray[np.int64]:
    """Places (steps,) in a schedule, noisiest first, that serve a solver of few steps.

    First the noisiest step; from 97 % of the schedule on evenly in the logarithm of signal over noise,
    ``log(kept / (1 - kept)) / 2``, down to the last. Before that the logarithm falls without bound while the picture
    stays noise. Steps evenly in time end three times as far from DDIM-100, where there are ten (docs/sampling.md).

    Args:
        kept: (S,) products of the schedule, falling.
        steps: how many, 1 to S.
    """
    last = len(kept) - 1
    gain = 0.5 * np.log(kept / (1 - kept))
    wanted = np.linspace(gain[0], gain[round(0.97 * last)], steps - 1)
    order = np.arange(steps - 1)
    places = np.round(np.interp(-wanted, -gain, np.arange(last + 1))).astype(np.int64)
    # each step once: many steps crowd at the clean end
    places = np.minimum(np.maximum.accumulate(places - order), last - steps + 1) + order
    return np.concatenate([[last], places[::-1]]).astype(np.int64)


class DpmSolver:
    """DPM-Solver++ (2M): second order from two predictions, one network call a step.

    With ``lambda = log(alpha / sigma)``, ``h`` the gain of lambda over a step and ``r = h_before / h``:
    ``D = (1 + 1 / (2 r)) x0 - 1 / (2 r) x0_before``; ``x = sigma' / sigma x - alpha' (exp(-h) - 1) D``.
    The last step ends at zero noise, where x is the prediction itself.

    Args:
        schedule: the full schedule.
        steps: network calls, 1 up to the schedule's steps.
    """

    def __init__(self, schedule: NoiseSchedule, steps: int) -> None:
        if not 1 <= steps <= schedule.steps:
            raise ValueError(f"steps: got {steps}, needs 1 to {schedule.steps}")
        products = schedule.alphas_cumprod.cpu().numpy()
        places = few_steps(products, steps)
        kept = products[places]
        self.steps: list[int] = schedule.timestep_map.cpu().numpy()[places].tolist()
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
        gain = np.log(self._alpha / self._sigma)
        x = noise
        x0_before: Tensor | None = None
        for index in range(len(self.steps)):
            x0 = _settled(predict(x, index), clip, inpaint)
            if index + 1 == len(self.steps):
                x = x0
            else:
                step = float(gain[index + 1] - gain[index])
                direction = x0
                if x0_before is not None:
                    half = 0.5 * step / float(gain[index] - gain[index - 1])
                    direction = (1 + half) * x0 - half * x0_before
                ratio = float(self._sigma[index + 1] / self._sigma[index])
                x = ratio * x - float(self._alpha[index + 1]) * math.expm1(-step) * direction
            x0_before = x0
            if watch is not None:
                watch(index, x)
        return x


def _settled(x0: Tensor, clip: float | None, inpaint: tuple[Tensor, Tensor] | None) -> Tensor:
    if clip is not None:
        x0 = x0.clamp(-clip, clip)
    if inpaint is not None:
        mask, values = inpaint
        x0 = torch.where(mask[..., None] > 0, values, x0)
    return x0
