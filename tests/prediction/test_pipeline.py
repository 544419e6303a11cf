"""The steps of a prediction: each runs on its own, and the video is probed once and decoded twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from colour_segmenter import write_colour_segmenter
from PIL import Image
from small_head import small_head

from occlufacediff.config.adaptation import AdaptationSettings
from occlufacediff.config.crop import CropSettings
from occlufacediff.config.landmarks import LandmarkSettings
from occlufacediff.config.occlusion import OcclusionKind, OcclusionSettings
from occlufacediff.config.prediction import PredictionSettings
from occlufacediff.config.reconstruction import ReconstructionSettings
from occlufacediff.config.visibility import VisibilitySettings
from occlufacediff.errors import OccluFaceError
from occlufacediff.head.landmark_basis import LandmarkBasis
from occlufacediff.media import frames as media_frames
from occlufacediff.media import probe as media_probe
from occlufacediff.models.checkpoint import load_networks
from occlufacediff.prediction import hearing, pipeline
from occlufacediff.prediction.animation import AnimatedMotion, write_animation
from occlufacediff.prediction.audio import read_audio
from occlufacediff.prediction.crop_masks import CropMasks, packed
from occlufacediff.prediction.head_fit import fit_head
from occlufacediff.prediction.hearing import Listening
from occlufacediff.prediction.motion import reconstruct_motion
from occlufacediff.prediction.networks import Networks
from occlufacediff.prediction.observation import observe
from occlufacediff.prediction.pipeline import Predictor
from occlufacediff.prediction.progress import StepTimer, no_progress
from occlufacediff.prediction.speech import recognise_speech
from occlufacediff.prediction.visibility import find_visibility

# Fixtures are costly: all tests that use them run on one worker.
pytestmark = pytest.mark.xdist_group("predict")

FRAMES = 26


@pytest.fixture
def opens(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter[str]]:
    """Counts how often a video is opened to probe it and to decode it."""
    counts: Counter[str] = Counter()
    original = media_probe.opened

    def counted(purpose: str) -> Any:
        def opened(path: Path | str, *arguments: Any) -> Any:
            counts[f"{purpose} {Path(path).name}"] += 1
            return original(path, *arguments)

        return opened

    monkeypatch.setattr(media_probe, "opened", counted("probe"))
    monkeypatch.setattr(media_frames, "opened", counted("decode"))
    yield counts


@pytest.mark.parametrize("source", ["none", "segmentation", "masks"])
def test_one_probe_and_two_decodings(folder: Path, tmp_path: Path, opens: Counter[str], source: str) -> None:
    visibility, mask = VisibilitySettings(), None
    if source == "segmentation":
        model = write_colour_segmenter(tmp_path / "colours.tflite")
        visibility = VisibilitySettings(source="segmentation", model=str(model))
    if source == "masks":
        mask = tmp_path / "mask.png"
        Image.fromarray(np.eye(240, dtype=np.uint8) * 255).save(mask)
    predictor = Predictor(
        folder / "models",
        folder / "head.npz",
        settings=PredictionSettings(panel_px=64),
        device="cpu",
        visibility=visibility,
    )
    timer = StepTimer()
    prediction = predictor.predict(folder / "talk.mp4", mask=mask, timer=timer)
    predictor.animate(prediction, tmp_path / "animation.mp4", timer=timer)
    assert opens == {"probe talk.mp4": 1, "decode talk.mp4": 2}
    assert list(timer.seconds) == ["observation", "visibility", "fit", "speech", "motion", "animation"]
    assert (prediction.visibility.masks is None) == (source == "none")


def test_steps_alone(folder: Path, tmp_path: Path) -> None:
    """Each step needs nothing but the records of earlier ones."""
    head, settings = small_head(), PredictionSettings(panel_px=64)
    basis, reconstruction = LandmarkBasis.of(head), ReconstructionSettings()
    (prior, _), (denoiser, _) = load_networks(
        folder / "models/motion_prior", folder / "models/denoiser", head, device=torch.device("cpu")
    )
    networks = Networks(denoiser, prior, torch.device("cpu"))
    info = media_probe.probe(folder / "talk.mp4")
    observation = observe(
        info, landmarks=LandmarkSettings(), crop=CropSettings(), min_seconds=1.0, progress=no_progress
    )
    assert observation.lmk_2d.shape == (FRAMES, 468, 2) and observation.found.all()
    visibility = find_visibility(info.path, observation, [], kind="mouth", settings=OcclusionSettings(), seed=0)
    assert visibility.lmk_mask.shape == (FRAMES, 468) and visibility.lmk_mask_video.all()
    assert visibility.crop_mask(13).any() and visibility.occluder(13) is None
    fit = fit_head(basis, observation, visibility, settings=reconstruction)
    assert fit.landmarks == "visible" and fit.result.exp.shape == (FRAMES, head.n_exp)
    audio = read_audio(info, FRAMES, silence_db=-60)
    assert audio.audible and audio.waveform.shape == (640 * FRAMES,)
    speech = recognise_speech(audio.waveform, audio.log_mel, networks, AdaptationSettings())
    motion = reconstruct_motion(
        networks,
        basis,
        observation,
        visibility,
        fit.result,
        speech,
        use_audio=True,
        clip_id="talk",
        seed=0,
        settings=settings,
        reconstruction=reconstruction,
    )
    assert motion.values.shape == motion.spread.shape == (FRAMES, head.n_exp + 3)
    write_animation(
        tmp_path / "animation.mp4",
        info,
        head,
        AnimatedMotion(motion, fit.result),
        observation,
        visibility,
        audio,
        settings=settings,
        device="cpu",
        progress=no_progress,
    )
    assert sum(1 for _ in media_frames.read_frames(tmp_path / "animation.mp4")) == FRAMES


def test_packed_masks_are_small_and_exact() -> None:
    masks = np.zeros((3, 224, 224), bool)
    masks[1, 40:180, 30:190] = True
    masks[2] = np.random.default_rng(0).random((224, 224)) < 0.5
    stored = CropMasks((None, *(packed(mask) for mask in masks[1:])))
    for number, mask in enumerate(masks):
        np.testing.assert_array_equal(stored[number], mask)
    assert len(packed(masks[1])) < 300


def test_worker_processes_change_nothing(folder: Path, tmp_path: Path) -> None:
    """Audio is recognised in another process, and the frames are drawn by two; results are equal to the byte."""
    made = []
    for workers in (1, 2):
        settings = PredictionSettings(panel_px=64, occlusion="mouth")
        with Predictor(
            folder / "models", folder / "head.npz", settings=settings, device="cpu", workers=workers
        ) as predictor:
            prediction = predictor.predict(folder / "talk.mp4")
            predictor.animate(prediction, tmp_path / f"{workers}.mp4")
            made.append(prediction)
            assert (predictor.workers is None) == (workers == 1)
    one, two = (prediction.arrays() for prediction in made)
    for name, value in one.items():
        np.testing.assert_array_equal(value, two[name], err_msg=name)
    np.testing.assert_array_equal(made[0].audio.waveform, made[1].audio.waveform)
    assert (tmp_path / "1.mp4").read_bytes() == (tmp_path / "2.mp4").read_bytes()


def test_a_wrong_number_of_frames_repeats_the_work(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = media_probe.probe(folder / "talk.mp4")
    listening = Listening(silence_db=-60, only_speech=False, phones=True, words=False)
    monkeypatch.setattr(hearing, "count_at_25_fps", lambda path: FRAMES + 3)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        heard = hearing.HearingAhead(pool, info, listening).result(FRAMES, words=False)
    assert len(heard.audio.waveform) == 640 * FRAMES
    np.testing.assert_array_equal(heard.features, hearing.hear(info, FRAMES, listening).features)


def test_words_are_recognised_beside_the_phones(folder: Path) -> None:
    info = media_probe.probe(folder / "talk.mp4")
    listening = Listening(silence_db=-60, only_speech=False, phones=True, words=True)
    alone = hearing.hear(info, FRAMES, listening)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        ahead = hearing.HearingAhead(pool, info, listening)
        ahead.start_words()
        heard = ahead.result(FRAMES, words=True)
        without = ahead.result(FRAMES, words=False)
    assert len(heard.transcripts) == 2
    assert len(without.transcripts) == 1
    for mine, theirs in zip(heard.transcripts, alone.transcripts, strict=True):
        assert mine.names == theirs.names
        np.testing.assert_array_equal(mine.starts, theirs.starts)
    np.testing.assert_array_equal(heard.features, alone.features)


@pytest.mark.parametrize("occlusion", ["none", "mouth"])
def test_a_killed_worker_is_named(folder: Path, occlusion: OcclusionKind) -> None:
    models, head = folder / "models", folder / "head.npz"
    settings = PredictionSettings(occlusion=occlusion)
    with Predictor(models, head, settings=settings, device="cpu", workers=2) as predictor:
        assert predictor.workers is not None

        def hear_ahead_and_kill(pool: ProcessPoolExecutor, *arguments: Any) -> Any:
            result = hearing.HearingAhead(pool, *arguments)
            for process in list(pool._processes.values()):
                process.kill()
            return result

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(pipeline, "HearingAhead", hear_ahead_and_kill)
            with pytest.raises(OccluFaceError, match=r"a worker process was killed.*run again with fewer processes"):
                predictor.predict(folder / "talk.mp4")
