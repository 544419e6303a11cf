"""Optimiser, learning rate and moving average of the weights."""

from __future__ import annotations

import math

import torch
from torch import nn

from occlufacediff.config.loop import LoopSettings


class ExponentialMovingAverage:
    """Exponential moving average (EMA) of a network's weights; buffers are copied.

    Args:
        model: the network.
        decay: weight of the past in each step. In early steps the decay is smaller, so that the initial weights
            are forgotten. 0: the average equals the network.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.values = {name: value.detach().clone() for name, value in model.state_dict().items()}
        self._weights = {name for name, _ in model.named_parameters()}

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Include the weights after ``step`` steps."""
        part = 1 - min(self.decay, (1 + step) / (10 + step))
        for name, value in model.state_dict().items():
            if name in self._weights:
                self.values[name].lerp_(value, part)
            else:
                self.values[name].copy_(value)


def learning_rate(step: int, settings: LoopSettings) -> float:
    """Learning rate of a step: linear warm-up, then constant or half a cosine to a twentieth at ``max_steps``."""
    rise = min(1.0, (step + 1) / max(settings.warmup_steps, 1))
    if settings.schedule == "constant":
        return settings.learning_rate * rise
    along = min(1.0, step / max(settings.max_steps, 1))
    return settings.learning_rate * rise * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * along)))


def make_optimizer(model: nn.Module, settings: LoopSettings) -> torch.optim.AdamW:
    """AdamW over all parameters that need a gradient now; ``decay`` chooses those with weight decay."""
    trained = [p for p in model.parameters() if p.requires_grad]
    decayed = [p for p in trained if p.ndim > 1 or settings.decay == "all"]
    others = [p for p in trained if p.ndim <= 1 and settings.decay != "all"]
    groups = [{"params": decayed, "weight_decay": settings.weight_decay}]
    if others:
        groups.append({"params": others, "weight_decay": 0.0})
    return torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(0.9, settings.beta2))


def step_seed(seed: int, step: int) -> int:
    """Seed of noise and dropout in a step, so that a resumed training makes the same draws as an uninterrupted one."""
    return (seed * 1_000_003 + step) % (2**63)
