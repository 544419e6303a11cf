"""Optimiser, learning rate and moving average of the weights."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from occlufacediff.config.loop import LoopSettings


class ExponentialMovingAverage:
    """Exponential moving average (EMA) of a network's weights; buffers are copied.

    Args:
        model: the network.
        decay: weight of the past in each step. In early steps the decay is smaller, so that the initial weights
            are forgotten. 0: the average is the network itself.

    Attributes:
        values: average weights and buffers by name.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.values = {name: value.detach() for name, value in model.state_dict().items()}
        if decay:
            self.values = {name: value.clone() for name, value in self.values.items()}
        self._weights = [name for name, _ in model.named_parameters()]
        self._buffers = [name for name in self.values if name not in set(self._weights)]

    def load(self, values: dict[str, Tensor]) -> None:
        """Continue with saved values."""
        if self.decay:
            self.values = values

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Include the weights after ``step`` steps."""
        if not self.decay:
            return
        part = 1 - min(self.decay, (1 + step) / (10 + step))
        state = model.state_dict()
        mine, others = ([values[name] for name in self._weights] for values in (self.values, state))
        torch._foreach_lerp_(mine, others, part)
        if self._buffers:
            mine, others = ([values[name] for name in self._buffers] for values in (self.values, state))
            torch._foreach_copy_(mine, others)


def learning_rate(step: int, settings: LoopSettings, epoch_steps: float = 1.0) -> float:
    """Learning rate of a step: linear warm-up, then constant, or half a cosine down to ``lowest_rate``.

    The cosine ends at ``max_steps``, or every ``restart_epochs`` with ``schedule: restarts``: cosine annealing with
    warm restarts (SGDR, arXiv 1608.03983), without the growth of later cycles.

    Args:
        step: counted from 0.
        settings: of the loop.
        epoch_steps: optimizer steps of an epoch, not necessarily a whole number; for restarts only.
    """
    rise = min(1.0, (step + 1) / max(settings.warmup_steps, 1))
    if settings.schedule == "constant":
        return settings.learning_rate * rise
    if settings.schedule == "restarts":
        cycle = settings.restart_epochs * epoch_steps
        along = step % cycle / cycle
    else:
        along = min(1.0, step / max(settings.max_steps, 1))
    lowest = settings.lowest_rate
    return settings.learning_rate * rise * (lowest + (1 - lowest) * 0.5 * (1 + math.cos(math.pi * along)))


def make_optimizer(model: nn.Module, settings: LoopSettings) -> torch.optim.AdamW:
    """AdamW over all parameters that need a gradient now; ``decay`` chooses those with weight decay."""
    trained = [p for p in model.parameters() if p.requires_grad]
    decayed = [p for p in trained if p.ndim > 1 or settings.decay == "all"]
    others = [p for p in trained if p.ndim <= 1 and settings.decay != "all"]
    groups = [{"params": decayed, "weight_decay": settings.weight_decay}]
    if others:
        groups.append({"params": others, "weight_decay": 0.0})
    fused = trained[0].is_cuda if settings.fused is None else settings.fused
    return torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(0.9, settings.beta2), fused=fused or None)


def update(optimizer: torch.optim.AdamW, finite: Tensor) -> None:
    """Update the weights if ``finite`` () is true; a fused optimizer decides on the device, without waiting for it."""
    if optimizer.defaults["fused"]:
        optimizer.found_inf = (~finite).to(torch.float32)  # type: ignore[attr-defined]
        optimizer.step()
    elif finite:
        optimizer.step()


def step_seed(seed: int, step: int) -> int:
    """Seed of noise and dropout in a step, so that a resumed training makes the same draws as an uninterrupted one."""
    return (seed * 1_000_003 + step) % (2**63)
