"""Training with dropped conditions trains the guidance branches without landmarks and without audio."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

sys.path += [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[1] / "training")]

from small_data import Files, write_small_data

from occlufacediff.config.training import DenoiserSettings, LoopSettings, MotionPriorSettings
from occlufacediff.datasets.store import ClipStore
from occlufacediff.models.checkpoint import load_denoiser, load_motion_prior
from occlufacediff.models.denoiser import Denoiser
from occlufacediff.models.motion_prior import MotionPrior
from occlufacediff.models.provenance import TrainingOrigin
from occlufacediff.models.schedule import NoiseSchedule
from occlufacediff.stages.train import train_denoiser, train_motion_prior

pytestmark = pytest.mark.xdist_group("guidance")

LOOP = LoopSettings(
    max_steps=60, batch_size=8, validate_every=60, validation_windows=2, save_every=60, warmup_steps=2, ema_decay=0.0
)
#: A step with moderate noise, so that a branch without conditions can learn something.
STEP = 600
BRANCHES = ((True, True), (False, True), (False, False))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    torch.set_num_threads(1)
    return write_small_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def prior(files: Files, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prior")
    train_motion_prior(
        files.manifest,
        files.packed(),
        files.head,
        folder,
        settings=MotionPriorSettings(loop=replace(LOOP, max_steps=10, validate_every=10, save_every=10)),
        origin=TrainingOrigin(dataset="small", split_rule="lists", run="main"),
        seed=1,
        device="cpu",
    )
    return folder


def trained(files: Files, prior: Path, folder: Path, odds: float, steps: int) -> Denoiser:
    loop = replace(LOOP, max_steps=steps, validate_every=steps, save_every=steps)
    train_denoiser(
        files.manifest,
        files.packed(),
        files.packed("log_mel"),
        files.head,
        prior,
        folder,
        settings=DenoiserSettings(loop=loop, audio_dropout=odds, landmark_dropout=odds),
        origin=TrainingOrigin(dataset="small", split_rule="lists", run="main"),
        seed=1,
        device="cpu",
    )
    return load_denoiser(folder)[0]


@torch.no_grad()
def errors(denoiser: Denoiser, prior: MotionPrior, files: Files) -> dict[tuple[bool, bool], float]:
    """Mean squared error of each branch's predicted latents over the training clips."""
    store = ClipStore(files.manifest, "train", coefficients=files.coefficients, clips=files.clips, audio=files.audio)
    schedule, step = NoiseSchedule.cosine(), torch.tensor([STEP])
    result = dict.fromkeys(BRANCHES, 0.0)
    for number in range(len(store)):
        clip = store[number]
        frames = len(clip) // 8 * 8
        assert clip.lmk_2d is not None and clip.log_mel is not None
        target, _ = prior.encode(torch.from_numpy(clip.motion[:frames])[None])
        lmk = torch.from_numpy(clip.lmk_2d[:frames])[None]
        audio = torch.from_numpy(clip.log_mel[: frames * 4])[None]
        noise = torch.randn(target.shape, generator=torch.Generator().manual_seed(number))
        noisy = schedule.add_noise(target, step, noise)
        for with_landmarks, with_audio in BRANCHES:
            mask = torch.full(lmk.shape[:3], float(with_landmarks))
            clean = denoiser(noisy, schedule.timestep_map[step], lmk, mask, audio, torch.tensor([with_audio]))
            result[with_landmarks, with_audio] += (clean - target).square().mean().item() / len(store)
    return result


def test_condition_dropout_trains_the_branches_without_landmarks_and_audio(
    files: Files, prior: Path, tmp_path: Path
) -> None:
    latents = load_motion_prior(prior)[0]
    with_odds = trained(files, prior, tmp_path / "dropped", 0.6, 30)
    without = trained(files, prior, tmp_path / "kept", 0.0, 30)
    barely = trained(files, prior, tmp_path / "barely", 0.4, 1)
    dropped, kept, first = (errors(model, latents, files) for model in (with_odds, without, barely))
    for branch in BRANCHES:
        assert dropped[branch] < 0.9 * first[branch], branch
    nothing = (False, False)
    assert dropped[nothing] < 0.97 * kept[nothing]
    assert (with_odds.no_audio != 0).any() and (without.no_audio == 0).all()


def test_the_unconditional_branch_does_not_depend_on_the_clip(files: Files, prior: Path, tmp_path: Path) -> None:
    denoiser = trained(files, prior, tmp_path / "d", 0.4, 2)
    noise, step, silent = torch.randn(1, 8, denoiser.config.latent_dim), torch.tensor([500]), torch.tensor([False])
    with torch.no_grad():
        made = [
            denoiser(noise, step, torch.randn(1, 64, 468, 2), torch.zeros(1, 64, 468), torch.randn(1, 256, 80), silent)
            for _ in range(2)
        ]
    torch.testing.assert_close(*made, atol=1e-6, rtol=0)
