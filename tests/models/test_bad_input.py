"""Unusual and invalid inputs of sampling: handled with a note, or rejected with a clear error."""

from __future__ import annotations

import dataclasses
import subprocess
import wave
from pathlib import Path

import numpy as np
import pytest
import torch
from small_head import small_head

from occlufacediff.errors import AssetError
from occlufacediff.media.encode import VideoWriter
from occlufacediff.media.ffmpeg import ffmpeg_binary
from occlufacediff.media.probe import probe
from occlufacediff.models.checkpoint import CheckpointInfo
from occlufacediff.models.denoiser import Denoiser, DenoiserConfig
from occlufacediff.models.motion_prior import MotionPrior, MotionPriorConfig
from occlufacediff.models.sample import SampleInput, sample_clips
from occlufacediff.prediction.audio import read_audio

FRAMES = 40


@pytest.fixture(scope="module")
def models() -> tuple[Denoiser, MotionPrior]:
    torch.manual_seed(0)
    prior = MotionPrior(MotionPriorConfig.compact(9))
    return Denoiser(DenoiserConfig.compact(prior.config.latent_dim)).eval(), prior.eval()


@pytest.fixture
def clip() -> SampleInput:
    draw = torch.Generator().manual_seed(1)
    return SampleInput(
        clip_id="M101/happy/level_1/001",
        lmk_2d=torch.rand(FRAMES, 468, 2, generator=draw) * 2 - 1,
        lmk_mask=torch.ones(FRAMES, 468),
        audio=torch.randn(FRAMES * 4, 80, generator=draw),
    )


def sampled(models: tuple[Denoiser, MotionPrior], clip: SampleInput, **options: object) -> torch.Tensor:
    return sample_clips(*models, [clip], seed=0, steps=3, **options)[0]  # type: ignore[arg-type]


def test_landmarks_that_are_not_finite_count_as_occluded(
    models: tuple[Denoiser, MotionPrior], clip: SampleInput
) -> None:
    landmarks, mask = clip.lmk_2d.clone(), clip.lmk_mask.clone()
    landmarks[3, 7], landmarks[9, :, 0], landmarks[20, 100, 1] = float("nan"), float("inf"), float("nan")
    mask[3, 7] = mask[9] = mask[20, 100] = 0
    broken = sampled(models, dataclasses.replace(clip, lmk_2d=landmarks))
    occluded = sampled(models, dataclasses.replace(clip, lmk_mask=mask))
    assert torch.isfinite(broken).all()
    assert torch.equal(broken, occluded)
    assert not torch.equal(broken, sampled(models, clip))


@pytest.mark.parametrize("guidance", [(1.5, None), (None, 0.5)])
def test_each_guidance_weight_can_be_given_alone(
    models: tuple[Denoiser, MotionPrior], clip: SampleInput, guidance: tuple[float | None, float | None]
) -> None:
    motion = sampled(models, clip, guidance=guidance)
    assert torch.isfinite(motion).all()
    assert not torch.equal(motion, sampled(models, clip))


@pytest.mark.parametrize(("seconds", "words"), [(2.5, "0.50 s longer"), (1.5, "0.50 s shorter"), (2.0, None)])
def test_audio_is_cut_or_padded_to_the_video_with_a_note(tmp_path: Path, seconds: float, words: str | None) -> None:
    tone = 0.3 * np.sin(np.arange(int(seconds * 16000)) / 16000 * 2 * np.pi * 220).astype(np.float32)
    path = tmp_path / "talk.mp4"
    with VideoWriter(path, 25, (64, 64), audio=np.zeros(1, np.float32)) as writer:
        for _ in range(50):
            writer.write(np.zeros((64, 64, 3), np.uint8))
    sound_only = tmp_path / "tone.wav"
    _write_wav(sound_only, tone)
    both = tmp_path / "both.mkv"
    _join(path, sound_only, both)
    audio = read_audio(probe(both), 50, silence_db=-60.0)
    assert len(audio.waveform) == 50 * 640
    assert audio.audible
    assert [note for note in audio.notes if "than the video" in note] == (
        [f"the audio is {words} than the video"] if words else []
    )


def _write_wav(path: Path, tone: np.ndarray) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes((tone * 32767).astype("<i2").tobytes())


def _join(picture: Path, sound: Path, target: Path) -> None:
    inputs = ["-i", str(picture), "-i", str(sound), "-map", "0:v", "-map", "1:a", "-c:v", "copy", "-c:a", "pcm_s16le"]
    subprocess.run([ffmpeg_binary(), "-loglevel", "error", "-y", *inputs, str(target)], check=True)


def test_a_checkpoint_of_another_head_is_rejected() -> None:
    head = small_head()
    info = CheckpointInfo(
        folder=Path("models"),
        head_name="small",
        head_digest=head.digest,
        expression_names=head.expression_names,
        version="1",
    )
    info.require_head(head)
    info.require_head(dataclasses.replace(head, name="renamed"))
    # Of the same name and expressions.
    other = small_head(seed=1)
    message = (
        rf"models: the network was trained with the head model 'small' \(digest {head.digest[:12]}\) with 6 "
        rf"expressions, but the head model in use is 'small' \(digest {other.digest[:12]}\) with 6"
    )
    with pytest.raises(AssetError, match=message):
        info.require_head(other)


def test_a_checkpoint_without_digest_is_compared_by_name_and_expressions() -> None:
    head = small_head()
    info = CheckpointInfo(
        folder=Path("models"), head_name="small", head_digest=None, expression_names=head.expression_names, version="1"
    )
    info.require_head(small_head(seed=1))
    renamed = tuple(f"other{number}" for number in range(head.n_exp))
    for other in (dataclasses.replace(head, name="flame2023"), dataclasses.replace(head, expression_names=renamed)):
        with pytest.raises(AssetError, match=r"head model 'small' \(digest not recorded\) with 6 expressions"):
            info.require_head(other)
