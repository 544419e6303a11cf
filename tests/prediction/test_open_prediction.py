"""Prediction with networks like the open weights: phones, adaptation, and audio without speech."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from rich.console import Console
from scipy.signal import resample_poly
from skimage import data
from small_head import N_EXP, small_head

import occlufacediff.commands.model as model
from occlufacediff.cli import main
from occlufacediff.config.openhead import OpenHeadSettings
from occlufacediff.config.prediction import PredictionSettings
from occlufacediff.config.schema import Config
from occlufacediff.errors import AssetError, ConfigError
from occlufacediff.head.refinement import refine_motion
from occlufacediff.media.audio import read_waveform
from occlufacediff.media.encode import VideoWriter
from occlufacediff.media.frames import read_frames
from occlufacediff.models.checkpoint import save_checkpoint
from occlufacediff.models.denoiser import Denoiser, DenoiserConfig
from occlufacediff.models.motion_prior import MotionPrior, MotionPriorConfig
from occlufacediff.prediction.confidence import facing
from occlufacediff.stages import open_head as heads
from occlufacediff.stages.predict import predict_video
from occlufacediff.synthetic.espeak import speak

pytestmark = pytest.mark.xdist_group("predict")

FRAMES = 40
NAMES = ("browInnerUp", "eyeBlinkLeft", "mouthFunnel", "mouthPucker", "mouthSmileLeft", "mouthRollUpper")
assert len(NAMES) == N_EXP


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Head model, untrained networks that store the spread of motion, and videos with speech, music and silence."""
    folder = tmp_path_factory.mktemp("open")
    head = replace(small_head(), expression_names=NAMES)
    head.save(folder / "head.npz")
    torch.manual_seed(0)
    prior = MotionPrior(MotionPriorConfig.compact(N_EXP + 3))
    prior.set_motion_statistics(torch.full((N_EXP + 3,), 0.05), torch.full((N_EXP + 3,), 0.1))
    denoiser = Denoiser(DenoiserConfig.open(prior.config.latent_dim))
    for name, network in (("motion_prior", prior), ("denoiser", denoiser)):
        save_checkpoint(
            folder / "weights" / name, network, head_name=head.name, head_digest=head.digest, expression_names=NAMES
        )
    spoken = speak("Bob may pay for five more", "en-us", words_per_minute=170, pitch=50, pitch_range=50, seed=1)
    voice = resample_poly(spoken.samples, 16000, spoken.rate)[: FRAMES * 640].astype(np.float32)
    chord = sum(np.sin(2 * np.pi * pitch * np.arange(FRAMES * 640) / 16000) for pitch in (220, 277.2, 329.6))
    sounds = {"speech": voice, "music": 0.2 * np.asarray(chord, np.float32), "silence": np.zeros(FRAMES * 640, "f4")}
    photograph = data.astronaut()
    for name, sound in sounds.items():
        with VideoWriter(folder / f"{name}.mp4", 25, (240, 240), audio=sound) as writer:
            for number in range(FRAMES):
                writer.write(np.ascontiguousarray(photograph[:240, 100 + number // 3 : 340 + number // 3]))
    return folder


@pytest.fixture(scope="module")
def motion_of(
    stage: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., tuple[dict[str, np.ndarray], str]]:
    """Predicts a video; returns the content of motion.npz and the printed text."""

    def run(video: str, *options: str) -> tuple[dict[str, np.ndarray], str]:
        out = tmp_path_factory.mktemp("out")
        arguments = ["predict", str(stage / video), "--out", str(out), "--device", "cpu", "--profile", *options]
        arguments += ["--checkpoint", str(stage / "weights"), "--head", str(stage / "head.npz")]
        with pytest.MonkeyPatch.context() as patched:
            # The landmarks of the small head are not those of a face, so its pose is meaningless.
            patched.setattr("occlufacediff.prediction.confidence.facing", lambda pose: np.ones(len(pose)))
            result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 0, result.output
        with np.load(out / Path(video).stem / "motion.npz", allow_pickle=False) as motion:
            return {name: motion[name] for name in motion.files}, result.output

    return run


@pytest.fixture(scope="module")
def masks(stage: Path) -> Path:
    """Masks that occlude the lower half of the frames 12 to 27."""
    folder = stage / "masks"
    folder.mkdir()
    for number in range(FRAMES):
        mask = np.zeros((240, 240), np.uint8)
        mask[120:] = 255 * (12 <= number < 28)
        Image.fromarray(mask).save(folder / f"{number:02d}.png")
    return folder


@pytest.fixture(scope="module")
def spoken(motion_of: Callable[..., tuple[dict[str, np.ndarray], str]], masks: Path) -> dict[str, np.ndarray]:
    motion, output = motion_of("speech.mp4", "--mask", str(masks))
    assert "note:" not in output
    for step in ("observation", "visibility", "fit", "speech", "motion", "animation"):
        assert step in output
    return motion


def test_confidence_falls_with_the_distance_from_visible_frames(spoken: dict[str, np.ndarray]) -> None:
    sure, spread = spoken["confidence"], spoken["spread"]
    assert sure.shape == (FRAMES,)
    assert spread.shape == (FRAMES, N_EXP + 3)
    assert (sure[:12] == 1).all()
    assert (sure[28:] == 1).all()
    assert (sure[12:28] < 1).all()
    assert sure[[12, 27]].min() > sure[20]
    mouth = spread[:, 2:]
    assert mouth[20].mean() > 3 * mouth[5].mean() > 0
    # The eyes stay visible, so their spread does not change.
    assert np.ptp(spread[:, :2], axis=0).max() < 1e-6


def test_occluded_frames_pass_into_visible_ones_without_a_jump(spoken: dict[str, np.ndarray]) -> None:
    motion = np.concatenate([spoken["exp"], spoken["jaw"]], axis=1)
    steps = np.abs(np.diff(motion, axis=0)).max(axis=1)
    assert steps[[11, 27]].max() < 0.1


@pytest.mark.parametrize("adaptable", [True, False])
def test_the_refinement_knows_whether_the_motion_is_adapted(
    motion_of: Callable[..., tuple[dict[str, np.ndarray], str]], monkeypatch: pytest.MonkeyPatch, adaptable: bool
) -> None:
    adapted = []

    def follow(*arguments: Any, **options: Any) -> np.ndarray:
        adapted.append(options["adapted"])
        return refine_motion(*arguments, **options)

    monkeypatch.setattr("occlufacediff.prediction.motion.refine_motion", follow)
    monkeypatch.setattr("occlufacediff.prediction.networks.Networks.adaptable", adaptable)
    motion, _ = motion_of("silence.mp4")
    assert adapted == [adaptable]
    assert np.isfinite(motion["spread"]).all() == adaptable


@pytest.mark.parametrize(("video", "words"), [("music.mp4", "is not speech"), ("silence.mp4", "is silent")])
def test_audio_without_speech_is_ignored_with_a_note(
    motion_of: Callable[..., tuple[dict[str, np.ndarray], str]], masks: Path, video: str, words: str
) -> None:
    motion, output = motion_of(video, "--mask", str(masks))
    assert output.count("note:") == 1
    assert words in output
    assert words in str(motion["notes"][0])
    assert (motion["confidence"][:12] == 1).all()


def test_as_published_uses_any_audio_and_adapts_nothing(
    motion_of: Callable[..., tuple[dict[str, np.ndarray], str]],
) -> None:
    motion, output = motion_of("music.mp4", "--as-published", "--steps", "2")
    assert "note:" not in output
    assert np.isnan(motion["spread"]).all()


@pytest.mark.slow
@pytest.mark.parametrize("away", [(10, 290), (0, 280)], ids=["middle", "beginning"])
def test_a_face_that_is_away_for_longer_than_a_piece_of_the_fit(
    stage: Path, tmp_path: Path, away: tuple[int, int]
) -> None:
    """Fit, adaptation, refinement and animation treat a long stretch without a face as occluded frames."""
    photograph, voice = data.astronaut()[:240, 100:340].copy(), read_waveform(stage / "speech.mp4")
    frames = 310
    with VideoWriter(tmp_path / "away.mp4", 25, (240, 240), audio=np.resize(voice, frames * 640)) as writer:
        for number in range(frames):
            writer.write(photograph if not away[0] <= number < away[1] else np.zeros_like(photograph))
    prediction = predict_video(
        tmp_path / "away.mp4",
        stage / "weights",
        stage / "head.npz",
        tmp_path / "out",
        settings=PredictionSettings(panel_px=64),
        seed=0,
        device="cpu",
    )
    arrays = prediction.arrays()
    without = ~np.isin(np.arange(frames), np.arange(*away))
    assert f"no face in {away[1] - away[0]} of {frames} frames; they count as occluded" in prediction.notes
    np.testing.assert_array_equal(prediction.visibility.lmk_mask.any(axis=1), without)
    np.testing.assert_array_equal(prediction.confidence > 0, without & (facing(prediction.fit.result.global_pose) > 0))
    for name in ("exp", "jaw", "global_pose", "cam", "spread"):
        assert np.isfinite(arrays[name]).all(), name
    # The photograph does not move, so neither does the head, seen or not.
    assert np.abs(np.diff(prediction.fit.result.global_pose, axis=0)).max() < 0.02
    assert sum(1 for _ in read_frames(tmp_path / "out/away/animation.mp4")) == frames


def test_without_options_the_open_weights_and_the_cached_head_are_used(
    stage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the video is given."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(model, "open_weights", lambda: stage / "weights")
    kept = heads.cached_head()
    kept.parent.mkdir(parents=True)
    kept.write_bytes((stage / "head.npz").read_bytes())
    result = CliRunner().invoke(main, ["predict", str(stage / "silence.mp4"), "--device", "cpu"])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "predictions" / "silence" / "motion.npz").is_file()


def test_a_missing_open_head_is_built_once_with_a_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built = []

    def build(path: Path, *, settings: OpenHeadSettings, seed: int) -> None:
        built.append((settings, seed))
        path.write_bytes(b"head")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("occlufacediff.openhead.build.build_open_head", build)
    lines: list[str] = []
    first = heads.open_head(lines.append)
    assert heads.open_head(lines.append) == first
    assert first.parent == tmp_path / "cache" / "occlufacediff"
    # As the open weights were trained with.
    assert built == [(Config().open_head, Config().seed)]
    assert len(lines) == 1
    assert str(first) in lines[0]


def test_an_unusable_cache_folder_is_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(ConfigError, match="set XDG_CACHE_HOME"):
        heads.open_head()


def test_a_checkpoint_goes_with_the_head_of_its_digest(
    stage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    heads.HEADS.mkdir(parents=True)
    small_head(seed=1).save(heads.HEADS / "open-00000000.npz")
    monkeypatch.setattr(model, "open_head", lambda say: Path("built.npz"))
    monkeypatch.setattr(model, "open_weights", lambda: Path("weights"))
    console, own = Console(), stage / "weights"
    assert model.find_model(None, None, console) == (Path("weights"), Path("built.npz"))
    assert model.find_model(own, None, console) == (own, Path("built.npz"))
    shutil.copy(stage / "head.npz", heads.HEADS / "open-11111111.npz")
    assert model.find_model(own, None, console) == (own, heads.HEADS / "open-11111111.npz")
    assert model.find_model(own, Path("h.npz"), console) == (own, Path("h.npz"))
    with pytest.raises(AssetError, match="nowhere"):
        model.find_model(Path("nowhere"), None, console)
