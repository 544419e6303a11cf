"""Training speed: windows per second and memory of denoiser steps in float32 and bf16, on random data.

``python benchmarks/training.py [--device auto] [--batch 16] [--steps 10]``; the last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch

from occlufacediff.config.schema import Config
from occlufacediff.config.training import DenoiserSettings, LoopSettings, MotionPriorSettings
from occlufacediff.device import pick_device
from occlufacediff.head.asset import HeadAsset
from occlufacediff.models.denoiser import Denoiser
from occlufacediff.models.motion_prior import MotionPrior
from occlufacediff.models.schedule import NoiseSchedule
from occlufacediff.stages.open_head import workflow_head
from occlufacediff.training.denoiser import denoiser_config, denoiser_losses
from occlufacediff.training.motion_prior import prior_config
from occlufacediff.training.objective import HeadTerms
from occlufacediff.training.optimisation import make_optimizer
from occlufacediff.training.task import Batch


def random_batch(size: int, asset: HeadAsset, device: torch.device) -> Batch:
    """A batch of windows with the shapes of training."""
    frames = (size, 64)
    batch = {
        "exp": torch.rand(*frames, asset.n_exp),
        "jaw": 0.1 * torch.rand(*frames, 3),
        "global_pose": 0.1 * torch.randn(*frames, 3),
        "cam": torch.tensor([7.0, 0.0, 0.0]).repeat(*frames, 1),
        "shape": torch.randn(size, asset.n_shape),
        "lmk_2d": 0.5 * torch.randn(*frames, 468, 2),
        "lmk_target": 0.5 * torch.randn(*frames, 468, 2),
        "lmk_mask": (torch.rand(*frames, 468) > 0.5).float(),
        "log_mel": torch.randn(size, 256, 80),
    }
    return {name: value.to(device) for name, value in batch.items()}


def measure(precision: str, asset: HeadAsset, device: torch.device, batch_size: int, steps: int) -> dict[str, float]:
    """Windows per second and the loss of each step, after one warm-up step."""
    torch.manual_seed(0)
    settings = DenoiserSettings(loop=replace(LoopSettings(), precision=precision, batch_size=batch_size))
    prior = MotionPrior(prior_config(MotionPriorSettings(), asset)).to(device).eval().requires_grad_(False)
    denoiser = Denoiser(denoiser_config(settings, prior)).to(device).train()
    losses = denoiser_losses(
        denoiser,
        prior,
        NoiseSchedule.cosine().to(device),
        HeadTerms(asset).to(device),
        None,
        settings=settings,
        device=device,
    )
    optimizer = make_optimizer(denoiser, settings.loop)
    batch = random_batch(batch_size, asset, device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    values = []
    begun = 0.0
    for step in range(steps + 1):
        if step == 1:
            begun = time.perf_counter()
        loss = losses(batch)["loss"]
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        values.append(float(loss.detach()))
    seconds = time.perf_counter() - begun
    memory = (
        torch.cuda.max_memory_allocated() / 2**20
        if device.type == "cuda"
        else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    )
    return {
        "windows_per_s": round(batch_size * steps / seconds, 1),
        "peak_memory_mib": round(memory),
        "first_loss": round(values[0], 4),
        "last_loss": round(values[-1], 4),
    }


def main() -> None:
    """Measure both number formats on the available device."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--head", type=Path, default=workflow_head(Config()))
    arguments = parser.parse_args()
    device = pick_device(arguments.device)
    asset = HeadAsset.load(arguments.head)
    name = torch.cuda.get_device_name() if device.type == "cuda" else f"cpu, {torch.get_num_threads()} threads"
    result: dict[str, object] = {"device": name, "batch": arguments.batch, "steps": arguments.steps}
    for precision in ("float32", "bf16"):
        result[precision] = measure(precision, asset, device, arguments.batch, arguments.steps)
        print(f"{precision}: {result[precision]}", file=sys.stderr)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
