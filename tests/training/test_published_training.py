"""The published recipe on small clips: windows, losses, options, and both trainings through their stages."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

sys.path += [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parent.parent)]

from small_data import Files, write_small_data
from small_head import small_head
from small_published import FEW, SMALL, drawing, store_of
from small_training import denoiser_of, prior_of

from occlufacediff.config.published_recipe import (
    PublishedDenoiserSettings,
    PublishedPriorSettings,
)
from occlufacediff.config.training import DenoiserSettings, LoopSettings, MotionPriorSettings
from occlufacediff.errors import AssetError, ConfigError
from occlufacediff.head.model import HeadModel
from occlufacediff.models.checkpoint import load_denoiser, load_motion_prior
from occlufacediff.models.denoiser import Denoiser, DenoiserConfig
from occlufacediff.models.motion_prior import MotionPrior
from occlufacediff.training.denoiser import denoiser_config
from occlufacediff.training.losses import MotionLoss, MotionTruth
from occlufacediff.training.motion_prior import prior_config
from occlufacediff.training.published_denoiser import PublishedDenoiserTask
from occlufacediff.training.published_prior import PublishedPriorTask, start_at_zero
from occlufacediff.training.published_windows import PublishedWindows
from occlufacediff.training.share import Share
from occlufacediff.training.windows import batches

pytestmark = pytest.mark.xdist_group("published_training")

CPU = torch.device("cpu")
LOOP = LoopSettings(
    max_steps=2,
    batch_size=2,
    accumulate=2,
    learning_rate=1e-4,
    schedule="constant",
    warmup_steps=0,
    weight_decay=1e-3,
    beta2=0.999,
    clip_norm=None,
    ema_decay=0.0,
    validate_every=2,
    validation_windows=4,
)
PRIOR = MotionPriorSettings(preset="published", recipe="published", fit_to_head=True, loop=LOOP)
DENOISER = DenoiserSettings(preset="published", recipe="published", wav2vec2=SMALL, loop=LOOP)


@pytest.fixture(scope="module", autouse=True)
def small_and_on_one_thread() -> Iterator[None]:
    """The published architecture with fewer channels and layers: every training writes its networks to the disk."""
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DenoiserConfig, "published", classmethod(lambda cls: FEW))
        yield


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """Four training clips of 70, 64, 70 and 64 frames."""
    return write_small_data(tmp_path_factory.mktemp("published"), frames=(70, 64))


# Losses


def truth_of(batch: dict[str, Tensor], lmk_2d: Tensor) -> MotionTruth:
    values = {name: batch[name] for name in ("exp", "jaw", "global_pose", "cam")}
    return MotionTruth(**values, shape=batch["shape"][:, None], lmk_2d=lmk_2d)


def test_landmarks_that_the_recording_does_not_show_are_no_target(files: Files) -> None:
    prior = MotionPrior(prior_config(PRIOR, small_head())).eval().requires_grad_(False)
    loss = MotionLoss(prior=prior, head=HeadModel(small_head()))
    batch = next(iter(batches(PublishedWindows(store_of(files), drawing()), first=0, last=1, size=2, workers=0)))
    target = torch.zeros(2, 8, 128)
    predicted = torch.zeros(2, 8, 128, requires_grad=True)
    whole = loss(predicted, target, truth_of(batch, batch["lmk_target"]))
    partly = batch["lmk_target"].clone()
    partly[:, :, 100:200] = float("nan")
    terms = loss(predicted, target, truth_of(batch, partly))
    wrong = batch["lmk_target"].clone()
    wrong[:, :, 100:200] += 5
    assert loss(predicted, target, truth_of(batch, wrong))["landmarks_2d"] > whole["landmarks_2d"] + 1
    assert terms["landmarks_2d"].item() == pytest.approx(whole["landmarks_2d"].item(), rel=0.5)
    terms["loss"].backward()
    assert predicted.grad is not None
    assert torch.isfinite(predicted.grad).all()


# The motion prior


@pytest.fixture(scope="module")
def prior_folder(files: Files, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prior")
    prior_of(files, folder, replace(PRIOR, loop=replace(LOOP, max_steps=4)))
    return folder


def test_the_published_prior_starts_at_zero_and_uses_windows_of_32_frames(files: Files) -> None:
    prior = MotionPrior(prior_config(PRIOR, small_head()))
    start_at_zero(prior)
    motion = torch.randn(3, 32, 9)
    decoded = prior.train()(motion)[0]
    # What follows the zero layer is a convolution, so its output is its bias.
    torch.testing.assert_close(decoded, prior.decoder.smooth.bias.expand_as(decoded))
    task = PublishedPriorTask(
        prior, store_of(files), store_of(files, "validation"), small_head(), settings=PRIOR, seed=1, device=CPU,
        share=Share(),
    )  # fmt: skip
    batch = next(iter(task.batches(0, 1)))
    assert batch["exp"].shape == (2, 32, 6)
    # One window of each of four clips an epoch.
    assert task.epoch_size == 2
    assert prior.decoder.after.weight.grad is None
    task.losses(batch)["loss"].backward()
    assert prior.decoder.after.weight.grad.abs().max() > 0


def test_a_prior_trained_here_is_used_as_it_was_trained(prior_folder: Path) -> None:
    prior, info = load_motion_prior(prior_folder)
    assert not prior.config.isolated_inference
    assert info.training["settings"]["recipe"] == "published"
    motion = torch.randn(2, 64, 9)
    with torch.no_grad():
        without = prior.decode(prior.encode(motion)[0])
    torch.testing.assert_close(without, prior.decode(prior.encode(motion)[0]))
    # The option is the published code's behaviour outside of training.
    isolated = MotionPrior(prior_config(replace(PRIOR, isolated_inference=True), small_head())).eval()
    isolated.load_state_dict(prior.state_dict())
    with torch.no_grad():
        assert not torch.allclose(isolated.decode(isolated.encode(motion)[0]), without, atol=1e-4)
    assert MotionPrior(prior_config(replace(PRIOR, recipe="ours"), small_head())).config.isolated_inference is False


def test_the_head_decides_only_if_the_configuration_says_so() -> None:
    with pytest.raises(ConfigError, match=r"needs a head with 100 expressions, small has 6; .*fit_to_head"):
        prior_config(replace(PRIOR, fit_to_head=False), small_head())
    assert prior_config(PRIOR, small_head()).motion_dim == 9


def test_latents_are_standardised_only_if_asked(files: Files, prior_folder: Path, tmp_path: Path) -> None:
    assert (load_motion_prior(prior_folder)[0].latent_std == 1).all()
    prior_of(files, tmp_path, replace(PRIOR, published=PublishedPriorSettings(standardise_latents=True)))
    assert not torch.allclose(load_motion_prior(tmp_path)[0].latent_std, torch.ones(128))


@pytest.mark.parametrize("sampled", [False, True])
def test_validation_of_the_prior_uses_means_unless_asked(files: Files, sampled: bool) -> None:
    settings = replace(PRIOR, published=PublishedPriorSettings(sampled_validation=sampled))
    torch.manual_seed(0)
    prior = MotionPrior(prior_config(settings, small_head()))
    task = PublishedPriorTask(
        prior, store_of(files), store_of(files, "validation"), small_head(), settings=settings, seed=1, device=CPU,
        share=Share(),
    )  # fmt: skip
    prior.eval()
    found = [float(task.validate()["loss"].detach()) for _ in range(2)]
    assert (found[0] == found[1]) is not sampled


# The denoiser


def task_of(files: Files, prior: MotionPrior, settings: DenoiserSettings = DENOISER) -> PublishedDenoiserTask:
    torch.manual_seed(0)
    denoiser = Denoiser(denoiser_config(settings, prior))
    return PublishedDenoiserTask(
        denoiser,
        prior,
        store_of(files),
        store_of(files, "validation"),
        small_head(),
        settings=settings,
        seed=1,
        device=CPU,
        share=Share(),
    )


def with_published(**values: Any) -> DenoiserSettings:
    return replace(DENOISER, published=PublishedDenoiserSettings(**values))


class Recorded:
    """Records what the network receives, in place of the network."""

    def __init__(self, task: PublishedDenoiserTask) -> None:
        self.task = task
        self.seen: list[tuple[Any, ...]] = []
        self.training = True
        task.model = self  # type: ignore[assignment]

    def __call__(self, *arguments: Any) -> Tensor:
        self.seen.append(arguments)
        return arguments[0]


@pytest.fixture(scope="module")
def prior(prior_folder: Path) -> MotionPrior:
    return load_motion_prior(prior_folder)[0]


def test_steps_are_uniform_and_audio_is_dropped_by_its_odds(files: Files, prior: MotionPrior) -> None:
    task = task_of(files, prior, replace(with_published(vertices="landmarks"), audio_dropout=0.25))
    batch = {name: value.repeat_interleave(50, 0) for name, value in next(iter(task.batches(0, 1))).items()}
    recorded = Recorded(task)
    task.terms = lambda *_: {"loss": torch.zeros(())}  # type: ignore[assignment]
    for seed in range(20):
        torch.manual_seed(seed)
        with torch.no_grad():
            task.losses(batch)
    steps = torch.cat([one[1] for one in recorded.seen]).double()
    assert steps.min() >= 0
    assert steps.max() <= 999
    # Uniform on 0 .. 999, 2000 draws: mean and quarters within four standard errors.
    assert float(steps.mean()) == pytest.approx(499.5, abs=4 * 288.7 / np.sqrt(2000))
    for quarter in range(4):
        share = ((steps >= 250 * quarter) & (steps < 250 * (quarter + 1))).double().mean()
        assert float(share) == pytest.approx(0.25, abs=4 * np.sqrt(0.1875 / 2000))
    kept = torch.cat([one[5] for one in recorded.seen]).double().mean()
    assert float(kept) == pytest.approx(0.75, abs=4 * np.sqrt(0.1875 / 2000))


def test_terms_tell_the_phase(files: Files, prior: MotionPrior) -> None:
    task = task_of(files, prior)
    batch = next(iter(task.batches(0, 1)))
    Recorded(task)
    task.terms = lambda *_: {"loss": torch.zeros(())}  # type: ignore[assignment]
    found = []
    for epoch in range(1, 7):
        task.prepare((epoch - 1) * task.epoch_size)
        found.append(float(task.losses(batch)["audio_phase"]))
    assert found == [0, 0, 1, 1, 1, 0]


@pytest.mark.parametrize("option", [None, "sampled_targets", "mask_per_batch", "spec_augment_thinned"])
def test_what_the_published_loop_did_is_an_option(files: Files, prior: MotionPrior, option: str | None) -> None:
    settings = with_published(vertices="landmarks", **({option: True} if option else {}))
    task = task_of(files, prior, replace(settings, loop=replace(LOOP, batch_size=4), landmark_dropout=0.0))
    targets = []
    task.schedule.add_noise = lambda x, t, noise: targets.append(x) or x  # type: ignore[method-assign,assignment,func-returns-value]
    recorded = Recorded(task)
    same_masks, same_counts = [], []
    for number in range(4):
        batch = next(iter(task.batches(number, number + 1)))
        for seed in range(2):
            torch.manual_seed(seed)
            with torch.no_grad():
                task.losses(batch)
        mask, masked = recorded.seen[-1][3], recorded.seen[-1][6]
        same_masks.append(bool((mask == mask[:1]).all()))
        same_counts.append(len(set(masked.sum(1).tolist())) == 1)
    assert torch.equal(targets[0], targets[1]) is (option != "sampled_targets")
    assert all(same_masks) is (option == "mask_per_batch")
    assert all(same_counts) is (option == "spec_augment_thinned")


@pytest.mark.parametrize("random", [False, True])
def test_validation_is_the_same_in_every_epoch_unless_asked(files: Files, prior: MotionPrior, random: bool) -> None:
    task = task_of(files, prior, with_published(random_validation=random, vertices="landmarks"))
    found = []
    for micro_batch in (0, 0, task.epoch_size):
        task.denoiser.train()
        task.prepare(micro_batch)
        task.denoiser.eval()
        torch.manual_seed(1)
        with torch.no_grad():
            found.append(float(task.validate()["loss"]))
    assert found[0] == found[1]
    assert (found[1] == found[2]) is not random


@pytest.mark.parametrize("random", [False, True])
def test_validation_goes_through_the_network_in_batches(
    files: Files, prior: MotionPrior, random: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = with_published(random_validation=random, vertices="landmarks")
    settings = replace(settings, loop=replace(LOOP, validation_windows=7))
    found, sizes = [], []
    for most in (64, 3):
        monkeypatch.setattr("occlufacediff.training.task.VALIDATION_BATCH", most)
        task = task_of(files, prior, settings)
        task.denoiser.eval()
        task.denoiser.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
        torch.manual_seed(1)
        with torch.no_grad():
            found.append({name: float(value) for name, value in task.validate().items()})
    assert sizes == [7, 3, 3, 1]
    assert found[0] == pytest.approx(found[1], rel=1e-4)


@pytest.mark.parametrize(("random", "most", "reads"), [(False, 1 << 29, 1), (False, 0, 3), (True, 1 << 29, 3)])
def test_small_fixed_validation_windows_are_read_once(
    files: Files, prior: MotionPrior, random: bool, most: int, reads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("occlufacediff.training.published_denoiser.KEPT_VALIDATION", most)
    task = task_of(files, prior, with_published(random_validation=random, vertices="landmarks"))
    read, calls = PublishedWindows.__getitems__, []
    monkeypatch.setattr(PublishedWindows, "__getitems__", lambda self, items: calls.append(items) or read(self, items))
    task.denoiser.eval()
    found = []
    for _ in range(3):
        torch.manual_seed(1)
        with torch.no_grad():
            found.append(task.validate())
    assert len(calls) == reads
    assert all(terms == found[0] for terms in found[1:])


def wav2vec2_state(folder: Path) -> dict[str, Tensor]:
    state = load_denoiser(folder)[0].state_dict()
    return {name: value for name, value in state.items() if name.startswith("audio_encoder.")}


def test_visual_epochs_leave_wav2vec2_as_it_was_read(files: Files, prior_folder: Path, tmp_path: Path) -> None:
    source = Denoiser(denoiser_config(DENOISER, load_motion_prior(prior_folder)[0])).audio_encoder.model  # type: ignore[union-attr]
    torch.save(source.state_dict(), tmp_path / "pytorch_model.bin")
    weights = replace(SMALL, weights=str(tmp_path))
    # 20 windows an epoch: 10 micro-batches of 2, 5 steps. Epoch 1 is visual.
    settings = replace(
        with_published(cycle_epochs=2, visual_epochs=2, vertices="landmarks"), wav2vec2=weights,
        loop=replace(LOOP, max_steps=2),
    )  # fmt: skip
    denoiser_of(files, prior_folder, tmp_path / "visual", settings)
    for name, value in wav2vec2_state(tmp_path / "visual").items():
        assert torch.equal(value, source.state_dict()[name.removeprefix("audio_encoder.model.")]), name
    audio = with_published(cycle_epochs=2, visual_epochs=0, vertices="landmarks")
    denoiser_of(files, prior_folder, tmp_path / "audio", replace(audio, wav2vec2=weights))
    for name, value in wav2vec2_state(tmp_path / "audio").items():
        same = torch.equal(value, source.state_dict()[name.removeprefix("audio_encoder.model.")])
        assert same is ("feature_extractor" in name), name


def test_training_without_weights_is_refused(files: Files, prior_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"denoiser\.wav2vec2\.weights: got null, needs weights of wav2vec2 because"):
        denoiser_of(files, prior_folder, tmp_path, replace(DENOISER, wav2vec2=replace(SMALL, weights=None)))
    with pytest.raises(AssetError, match="there is no such file or folder"):
        denoiser_of(files, prior_folder, tmp_path, replace(DENOISER, wav2vec2=replace(SMALL, weights="nowhere")))
    assert not (tmp_path / "model.safetensors").exists()


def test_our_small_networks_can_be_trained_by_the_published_recipe(files: Files, tmp_path: Path) -> None:
    prior_of(files, tmp_path / "prior", MotionPriorSettings(recipe="published", loop=LOOP))
    settings = DenoiserSettings(recipe="published", loop=LOOP)
    denoiser_of(files, tmp_path / "prior", tmp_path / "denoiser", settings)
    assert load_denoiser(tmp_path / "denoiser")[0].config.audio == "log_mel"
