"""Sampling, windows, guidance and checkpoints with a small untrained model."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from occlufacediff.errors import AssetError
from occlufacediff.models.checkpoint import load_denoiser, load_motion_prior, save_checkpoint
from occlufacediff.models.denoiser import Denoiser, DenoiserConfig
from occlufacediff.models.motion_prior import MotionPrior, MotionPriorConfig
from occlufacediff.models.published_windows import published_layout
from occlufacediff.models.sample import SampleInput, guidance_branches, sample_clips, sample_motion
from occlufacediff.models.windows import OverlapAdd, window_layout

MOTION = 13


@pytest.fixture(scope="module")
def models() -> tuple[Denoiser, MotionPrior]:
    torch.manual_seed(0)
    config = dataclasses.replace(
        DenoiserConfig.compact(latent_dim=16),
        landmark_width=16,
        audio_width=16,
        encoder_layers=1,
        encoder_feed_forward=32,
        decoder_width=32,
        decoder_layers=2,
        decoder_feed_forward=32,
    )
    prior = MotionPriorConfig(motion_dim=MOTION, latent_dim=16, width=32, heads=4, feed_forward=32)
    return Denoiser(config).eval(), MotionPrior(prior).eval()


def clip(name: str, frames: int, seed: int = 0) -> SampleInput:
    draw = torch.Generator().manual_seed(seed)
    return SampleInput(
        clip_id=name,
        lmk_2d=torch.randn(frames, 468, 2, generator=draw) * 0.3,
        lmk_mask=(torch.rand(frames, 468, generator=draw) > 0.4).float(),
        audio=torch.randn(frames * 4, 80, generator=draw),
    )


def test_published_windows(goldens: Path) -> None:
    for frames, want in json.loads((goldens / "windows.json").read_text()).items():
        assert published_layout(int(frames)) == [tuple(window) for window in want["window_frame_indices"]]


@settings(max_examples=60, deadline=None)
@given(frames=st.integers(1, 700), hop=st.sampled_from([8, 16, 32, 64]))
def test_overlap_add_of_windows_restores_the_clip(frames: int, hop: int) -> None:
    layout = window_layout(frames, hop=hop)
    assert layout.latents * 8 >= frames and layout.latents >= 8
    assert layout.starts[0] == 0 and layout.starts[-1] + 8 == layout.latents
    assert (layout.starts.diff() <= hop // 8).all()
    for unit in (1, 8):
        row = torch.randn(2, layout.latents * unit, 3)
        index = layout.index(unit)
        overlap_add = OverlapAdd(layout.latents * unit, layout.weights(unit))
        overlap_add.add(row[:, index], index)
        torch.testing.assert_close(overlap_add.mean(), row)


@pytest.mark.parametrize("frames", [1, 25, 63, 64, 65, 130])
@pytest.mark.parametrize("solver", ["dpmpp", "ddim"])
def test_clips_of_any_length(models: tuple[Denoiser, MotionPrior], frames: int, solver: str) -> None:
    one = clip("a", frames)
    motion = sample_motion(
        *models, one.lmk_2d, one.lmk_mask, one.audio, seed=1, clip_id="a", steps=3, solver=solver, samples=2
    )
    assert motion.shape == (2, frames, MOTION)
    assert torch.isfinite(motion).all()
    assert not torch.equal(motion[0], motion[1])


@pytest.mark.parametrize("guidance", [None, (1.5, 0.5)])
def test_result_does_not_depend_on_the_batch(
    models: tuple[Denoiser, MotionPrior], guidance: tuple[float, float] | None
) -> None:
    clips = [clip("a", 70, 1), clip("b", 150, 2), clip("c", 30, 3)]
    batched = sample_clips(*models, clips, seed=5, steps=4, guidance=guidance, samples=2)
    for one, motion in zip(clips, batched, strict=True):
        alone = sample_clips(*models, [one], seed=5, steps=4, guidance=guidance, samples=2, max_batch=1)[0]
        torch.testing.assert_close(alone, motion, atol=1e-4, rtol=0)
        first = sample_clips(*models, [one], seed=5, steps=4, guidance=guidance)[0]
        torch.testing.assert_close(first[0], motion[0], atol=1e-4, rtol=0)
    other = sample_clips(*models, clips[:1], seed=6, steps=4, guidance=guidance)[0]
    assert (other[0] - batched[0][0]).abs().max() > 1e-3


def test_one_window_equals_the_plain_procedure(models: tuple[Denoiser, MotionPrior]) -> None:
    from occlufacediff.models.sampler import Ddim, clip_noise
    from occlufacediff.models.schedule import NoiseSchedule

    denoiser, prior = models
    one = clip("a", 64)
    ddim = Ddim(NoiseSchedule.cosine().respaced("5"))
    inputs = (one.lmk_2d[None], one.lmk_mask[None], one.audio[None])
    no_landmarks = (inputs[0], torch.zeros_like(inputs[1]), inputs[2])
    no_audio = torch.zeros(1, dtype=torch.bool)

    def predict(x: torch.Tensor, index: int) -> torch.Tensor:
        t = torch.tensor([ddim.steps[index]])
        full, audio_only, nothing = (
            denoiser(x, t, *inputs),
            denoiser(x, t, *no_landmarks),
            denoiser(x, t, *no_landmarks, no_audio),
        )
        return (1 - 2.0 - 0.5) * nothing + 2.0 * full + 0.5 * audio_only

    with torch.no_grad():
        want = prior.decode(ddim.sample(predict, clip_noise(3, "a", (8, 16))[None]))
    got = sample_clips(denoiser, prior, [one], seed=3, steps=5, solver="ddim", guidance=(2.0, 0.5))[0]
    torch.testing.assert_close(got, want, atol=1e-4, rtol=0)


def test_guidance_weights_are_each_optional() -> None:
    assert guidance_branches(None) == [(True, True, 1.0)]
    assert guidance_branches((1.5, None)) == [(True, True, 1.5), (False, False, -0.5)]
    assert guidance_branches((None, 0.5)) == [(True, True, 1.0), (False, True, 0.5), (False, False, -0.5)]
    assert guidance_branches((1.0, 0.0)) == [(True, True, 1.0)]


def test_audio_can_be_removed_and_occluded_landmarks_have_no_effect(models: tuple[Denoiser, MotionPrior]) -> None:
    one, other = clip("a", 64, 1), clip("a", 64, 2)
    other_audio = dataclasses.replace(one, audio=other.audio)
    without_audio = [sample_clips(*models, [c], seed=0, steps=3, use_audio=False)[0] for c in (one, other_audio)]
    assert torch.equal(*without_audio)
    with_audio = [sample_clips(*models, [c], seed=0, steps=3)[0] for c in (one, other_audio)]
    assert not torch.equal(*with_audio)
    moved = dataclasses.replace(one, lmk_2d=torch.where(one.lmk_mask[..., None] > 0, one.lmk_2d, other.lmk_2d))
    lost = dataclasses.replace(
        one, lmk_2d=torch.where(one.lmk_mask[..., None] > 0, one.lmk_2d, torch.tensor(float("nan")))
    )
    for same in (moved, lost):
        assert torch.equal(sample_clips(*models, [same], seed=0, steps=3)[0], with_audio[0])


def test_no_seams_at_window_borders(models: tuple[Denoiser, MotionPrior]) -> None:
    motion = sample_clips(*models, [clip("a", 1000)], seed=0, steps=5, samples=4)[0]
    jerk = motion.diff(n=3, dim=1).norm(dim=-1).mean(0)
    frame = torch.arange(len(jerk))
    border = ((frame % 32) >= 29) & (frame > 40) & (frame < 950)
    # Compared with the borders of latents inside windows, every 8 frames.
    inside = ((frame % 8) >= 5) & ~border & (frame > 40) & (frame < 950)
    assert jerk[border].mean() <= 1.2 * jerk[inside].mean()


def test_the_clip_with_wrong_shapes_is_named(models: tuple[Denoiser, MotionPrior]) -> None:
    one = clip("W009/happy", 64)
    with pytest.raises(ValueError, match=r"W009/happy.*audio has 255 rows for 64 frames, needs 256"):
        sample_clips(*models, [dataclasses.replace(one, audio=one.audio[1:])], seed=0)
    with pytest.raises(ValueError, match=r"W009/happy.*lmk_mask"):
        sample_clips(*models, [dataclasses.replace(one, lmk_mask=one.lmk_mask[1:])], seed=0)


class TestCheckpoint:
    names = tuple(f"e{i}" for i in range(MOTION - 3))

    def saved(self, folder: Path, model: Denoiser | MotionPrior) -> Path:
        save_checkpoint(
            folder, model, head_name="open", head_digest="ab" * 32, expression_names=self.names, training={"steps": 3}
        )
        return folder

    def test_round_trip(self, tmp_path: Path, models: tuple[Denoiser, MotionPrior]) -> None:
        denoiser, prior = models
        loaded, info = load_denoiser(self.saved(tmp_path / "d", denoiser))
        assert loaded.config == denoiser.config and not loaded.training
        assert (info.head_name, info.head_digest) == ("open", "ab" * 32)
        assert info.expression_names == self.names and info.training == {"steps": 3}
        for name, tensor in denoiser.state_dict().items():
            assert torch.equal(loaded.state_dict()[name], tensor)
        again, _ = load_motion_prior(self.saved(tmp_path / "p", prior))
        assert again.config == prior.config
        before = (tmp_path / "p" / "model.safetensors").read_bytes(), (tmp_path / "p" / "config.yaml").read_bytes()
        self.saved(tmp_path / "p", prior)
        assert before == (
            (tmp_path / "p" / "model.safetensors").read_bytes(),
            (tmp_path / "p" / "config.yaml").read_bytes(),
        )

    def test_checkpoints_without_a_digest_are_read(self, tmp_path: Path, models: tuple[Denoiser, MotionPrior]) -> None:
        folder = self.saved(tmp_path / "p", models[1])
        described = yaml.safe_load((folder / "config.yaml").read_text())
        described["head_model"] = described.pop("head_name")
        del described["head_digest"]
        (folder / "config.yaml").write_text(yaml.safe_dump(described))
        info = load_motion_prior(folder)[1]
        assert (info.head_name, info.head_digest) == ("open", None)

    def test_damaged_files_are_named_in_the_error(self, tmp_path: Path, models: tuple[Denoiser, MotionPrior]) -> None:
        _, prior = models
        with pytest.raises(AssetError, match=r"config\.yaml is missing"):
            load_motion_prior(tmp_path / "nothing")
        folder = self.saved(tmp_path / "p", prior)
        with pytest.raises(AssetError, match="'kind' is 'motion_prior', expected 'denoiser'"):
            load_denoiser(folder)
        weights, config = folder / "model.safetensors", folder / "config.yaml"
        whole = weights.read_bytes()
        for bad in (b"<!doctype html><title>Log in</title>", whole[:500], b""):
            weights.write_bytes(bad)
            with pytest.raises(AssetError, match=r"model\.safetensors is damaged or not a safetensors file"):
                load_motion_prior(folder)
        weights.unlink()
        with pytest.raises(AssetError, match=r"model\.safetensors is missing"):
            load_motion_prior(folder)
        weights.write_bytes(whole)
        described = yaml.safe_load(config.read_text())
        described["model"]["latent_dim"] = 8
        config.write_text(yaml.safe_dump(described))
        with pytest.raises(AssetError, match=r"entry 'latent_mean' has shape \(16,\), expected \(8,\)"):
            load_motion_prior(folder)
        described["model"]["surprise"] = 1
        config.write_text(yaml.safe_dump(described))
        with pytest.raises(AssetError, match="surprise"):
            load_motion_prior(folder)
        config.write_text("kind: motion_prior\n")
        with pytest.raises(AssetError, match="entry 'version' is missing"):
            load_motion_prior(folder)

    def test_weights_of_another_config_are_rejected(self, tmp_path: Path, models: tuple[Denoiser, MotionPrior]) -> None:
        _, prior = models
        folder, other = self.saved(tmp_path / "p", prior), MotionPrior(prior.config)
        self.saved(tmp_path / "q", other)
        (folder / "model.safetensors").write_bytes((tmp_path / "q" / "model.safetensors").read_bytes())
        with pytest.raises(AssetError, match="weights_sha256"):
            load_motion_prior(folder)
