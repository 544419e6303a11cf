"""Fixtures: a moving photograph, a small head model, untrained networks, and the command `predict`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from skimage import data
from small_head import N_EXP, small_head

from occlufacediff.cli import main
from occlufacediff.media.encode import VideoWriter
from occlufacediff.models.checkpoint import save_checkpoint
from occlufacediff.models.denoiser import Denoiser, DenoiserConfig
from occlufacediff.models.motion_prior import MotionPrior, MotionPriorConfig

FRAMES = 26


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with head model, untrained checkpoint and videos."""
    folder = tmp_path_factory.mktemp("predict")
    head = small_head()
    head.save(folder / "head.npz")
    torch.manual_seed(0)
    prior = MotionPrior(MotionPriorConfig.compact(N_EXP + 3))
    denoiser = Denoiser(DenoiserConfig.compact(prior.config.latent_dim))
    for name, model in (("motion_prior", prior), ("denoiser", denoiser)):
        names = head.expression_names
        save_checkpoint(
            folder / "models" / name, model, head_name=head.name, head_digest=head.digest, expression_names=names
        )
    photograph = data.astronaut()
    tone = 0.3 * np.sin(np.arange(FRAMES * 640) / 16000 * 2 * np.pi * 220).astype(np.float32)
    for name, frames, sound in (("talk", FRAMES, tone), ("mute", FRAMES, None), ("short", 12, None)):
        with VideoWriter(folder / f"{name}.mp4", 25, (240, 240), audio=sound) as writer:
            for number in range(frames):
                writer.write(np.ascontiguousarray(photograph[:240, 100 + number // 3 : 340 + number // 3]))
    with VideoWriter(folder / "nobody.mp4", 25, (240, 240)) as writer:
        for _ in range(FRAMES):
            writer.write(np.ascontiguousarray(data.brick()[:240, :240, None].repeat(3, axis=2)))
    (folder / "text.mp4").write_text("this is no video")
    return folder


@pytest.fixture(scope="session")
def predict(folder: Path) -> Callable[..., tuple[int, str]]:
    """Runs the command on a video of the folder; returns exit status and output."""

    def run(video: str, out: Path, *options: str) -> tuple[int, str]:
        arguments = ["predict", str(folder / video), "--out", str(out), "--device", "cpu"]
        arguments += ["--checkpoint", str(folder / "models"), "--head", str(folder / "head.npz"), *options]
        result = CliRunner().invoke(main, arguments)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.output
        return result.exit_code, result.output

    return run
