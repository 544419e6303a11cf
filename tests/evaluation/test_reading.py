"""Metrics of readers in the evaluation: what a clip says, what is read, and files of readers."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from small_head import small_head
from torch import Tensor, nn

from occlufacediff.config.readers import LipReadingSettings
from occlufacediff.datasets.clips import Clip
from occlufacediff.errors import AssetError
from occlufacediff.evaluation.metrics import best_of, unit_of
from occlufacediff.evaluation.reading import Found, Panel, ReaderFiles, Said
from occlufacediff.evaluation.scores import Reference, surface
from occlufacediff.readers.emotion_recogniser import load_emotion_recogniser, recogniser_network
from occlufacediff.readers.reading import Reading
from occlufacediff.readers.viseme_letters import LETTERS
from occlufacediff.weights import open_readers

FRAMES = 6


def numbers(letters: str) -> np.ndarray:
    return np.array([LETTERS.index(letter) for letter in letters])


def reading(letters: str, emotions: list[int]) -> Reading:
    """Visemes, and the number of the emotion with the score 1 in each frame."""
    return Reading(numbers(letters), np.eye(8, dtype=np.float32)[emotions])


def said(letters: str | None = "__patt", emotion: str | None = "happy", visemes: str = "pat") -> Said:
    known = None if letters is None else numbers(letters)
    return Said("pat", emotion, visemes, known, np.zeros(0, np.float32))


def panel() -> Panel:
    return Panel(small_head())


def test_visemes_are_counted_in_speech_and_emotions_over_frames():
    # Speech is in the last four frames, of which two are right; the last three frames are occluded: one of three.
    found = Found(reading("ppp_tp", [1, 1, 1, 1, 3, 3]))
    occluded = np.array([0, 0, 0, 1, 1, 1], dtype=bool)
    result = panel().compare(said(), found, found, occluded)
    assert result == {
        "viseme_accuracy": 0.5,
        "viseme_accuracy_hidden": pytest.approx(1 / 3),
        # Read: p, t, p against p, a, t: insert the missing a, drop the last p.
        "viseme_error_rate": pytest.approx(2 / 3),
        # Four frames of number 1 (happy); in the occluded frames number 3 (sad) has two of three.
        "emotion_accuracy": 1.0,
        "emotion_accuracy_hidden": 0.0,
    }


def test_without_occlusion_there_are_no_hidden_metrics():
    found = Found(reading("__patt", [1] * 6))
    result = panel().compare(said(), found, found, np.zeros(6, dtype=bool))
    assert result == {"viseme_accuracy": 1.0, "viseme_error_rate": 0.0, "emotion_accuracy": 1.0}


def test_what_is_unknown_has_no_metric():
    found = Found(reading("__patt", [1] * 6))
    assert panel().compare(said(None, None, ""), found, found, np.ones(6, dtype=bool)) == {}
    assert panel().compare(said(), Found(), Found(), np.ones(6, dtype=bool)) == {}


def test_shares_of_emocas_recogniser():
    # Happy is number 1: first in one frame of four, among three in three.
    scores = np.array(
        [[3, 4, 2, 1, 0, 0, 0, 0], [4, 3, 2, 1, 0, 0, 0, 0], [4, 2, 3, 1, 0, 0, 0, 0], [4, 0, 3, 2, 1, 0, 0, 0]]
    )
    found = Found(recognised=scores.astype(np.float32))
    result = panel().compare(said(), found, found, np.zeros(4, dtype=bool))
    assert result == {"emotion_top1": 0.25, "emotion_top3": 0.75}


def test_features_are_compared_with_those_of_the_truth():
    found, truth = Found(features=np.array([[1.0, 0], [0, 2]])), Found(features=np.array([[2.0, 0], [3, 0]]))
    result = panel().compare(said(), found, truth, np.array([False, True]))
    assert result == {"lip_reading_cosine": pytest.approx(0.5), "lip_reading_cosine_hidden": pytest.approx(0.0)}
    # Of the truth itself it would always be 1.
    assert panel().compare(said(), truth, truth, np.array([False, True])) == {}


@pytest.mark.parametrize("metric", ["viseme_accuracy", "emotion_accuracy_hidden", "lse_c", "emotion_top3"])
def test_shares_are_better_when_higher(metric: str):
    assert best_of(metric) == "highest"
    assert unit_of(metric) == "1"


@pytest.mark.parametrize("metric", ["viseme_error_rate", "wer", "cer", "vwer", "ver", "lse_d"])
def test_errors_are_better_when_lower(metric: str):
    assert best_of(metric) == "lowest"


@dataclass(frozen=True)
class Recording:
    reference: Reference
    motion: np.ndarray


@pytest.fixture(scope="module")
def recording() -> Recording:
    asset, rng = small_head(), np.random.default_rng(2)
    zeros = np.zeros((FRAMES, 3), np.float32)
    clip = Clip(
        rng.uniform(0, 1, (FRAMES, asset.n_exp)).astype(np.float32),
        np.abs(rng.normal(0, 0.1, (FRAMES, 3))).astype(np.float32),
        zeros,
        np.tile(np.array([8.0, 0.0, 0.0], np.float32), (FRAMES, 1)),
        np.zeros(asset.n_shape, np.float32),
        lmk_2d=rng.uniform(-0.5, 0.5, (FRAMES, 468, 2)).astype(np.float32),
    )
    return Recording(Reference.of(asset, clip, rng.normal(0, 0.1, FRAMES * 640).astype(np.float32)), clip.motion)


class Brightness(nn.Module):
    """The brightness of each mouth."""

    def forward(self, mouths: Tensor) -> Tensor:
        return mouths[0, :, 0].flatten(1)[:, ::500]


class Letters(nn.Module):
    """Always reads the labels 1 and 2."""

    def forward(self, mouths: Tensor) -> Tensor:
        return torch.tensor([1, 2])


class Sync(nn.Module):
    """Mean of the faces and mean of the coefficients."""

    def forward(self, video: Tensor, audio: Tensor) -> tuple[Tensor, Tensor]:
        return video.flatten(1).mean(1, keepdim=True), audio.flatten(1).mean(1, keepdim=True)


def opened(tmp_path: Path, module: nn.Module, kind: str, units: str = "text", labels: str = "") -> Panel:
    torch.jit.script(module).save(str(tmp_path / "reader.pt"))
    (tmp_path / "labels.txt").write_text(labels, encoding="utf-8")
    settings = LipReadingSettings(str(tmp_path / "reader.pt"), kind, str(tmp_path / "labels.txt"), units)
    return ReaderFiles(lip_reading=settings).open(small_head())


def scored(panel: Panel, recording: Recording, text: str) -> dict[str, float]:
    """Metrics of a still face."""
    reference = recording.reference
    words = panel.said("happy/level_1/001", text, reference)
    truth = panel.read(words, reference, recording.motion, reference.truth)
    still = np.zeros_like(recording.motion)
    found = panel.read(words, reference, still, surface(reference.asset, reference.clip, still))
    return panel.compare(words, found, truth, np.ones(FRAMES, dtype=bool))


def test_a_lip_reader_of_features_sees_rendered_mouths(tmp_path: Path, recording: Recording):
    result = scored(opened(tmp_path, Brightness(), "features"), recording, "")
    assert set(result) == {"lip_reading_cosine", "lip_reading_cosine_hidden"}
    assert 0.2 < result["lip_reading_cosine"] < 0.99999


def test_a_lip_reader_of_text_is_compared_with_the_transcript(tmp_path: Path, recording: Recording):
    panel = opened(tmp_path, Letters(), "av_hubert", labels="-\nO\nH\n")
    result = scored(panel, recording, "Oh no.")
    assert result["wer"] == pytest.approx(1 / 2)
    assert result["cer"] == pytest.approx(3 / 5)
    assert set(result) == {"wer", "cer", "vwer", "ver"}
    assert scored(panel, recording, "") == {}


def test_a_lip_reader_of_phonemes_has_viseme_errors_only(tmp_path: Path, recording: Recording):
    panel = opened(tmp_path, Letters(), "av_hubert", "phonemes", "-\nb\nu:\n")
    # "moon" is m u: n; m and b are one viseme, n is missing.
    assert scored(panel, recording, "Moon") == {"vwer": 1.0, "ver": pytest.approx(1 / 3)}


def test_syncnet_sees_faces_and_audio(tmp_path: Path, recording: Recording):
    result = scored(opened(tmp_path, Sync(), "syncnet"), recording, "")
    assert set(result) == {"lse_c", "lse_d"}
    assert result["lse_d"] > 0


def test_packaged_readers_are_left_out_for_another_head(caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.WARNING):
        panel = ReaderFiles(open_readers(), packaged=True).open(small_head())
    assert panel.empty
    assert "belong to another head model than small" in caplog.text
    assert "snakemake reader_weights" in caplog.text


def test_emocas_recogniser_is_refused_for_a_head_with_few_coefficients(tmp_path: Path):
    torch.save(recogniser_network().state_dict(), tmp_path / "emo.pt")
    with pytest.raises(AssetError, match="has 6 expression coefficients"):
        ReaderFiles(recogniser=tmp_path / "emo.pt").open(small_head())


def test_emocas_recogniser_reads_every_motion_of_a_head_with_enough(tmp_path: Path, recording: Recording):
    torch.save(recogniser_network().state_dict(), tmp_path / "emo.pt")
    panel = Panel(small_head(), recogniser=load_emotion_recogniser(tmp_path / "emo.pt"))
    motion = np.random.default_rng(0).standard_normal((FRAMES, 103)).astype(np.float32)
    words = panel.said("happy/level_1/001", "", recording.reference)
    found = panel.read(words, recording.reference, motion, recording.reference.truth)
    result = panel.compare(words, found, found, np.zeros(FRAMES, dtype=bool))
    assert set(result) == {"emotion_top1", "emotion_top3"}
    assert 0 <= result["emotion_top1"] <= result["emotion_top3"] <= 1


def test_readers_of_another_head_that_the_user_gave_are_refused():
    with pytest.raises(AssetError, match=r"set evaluation\.readers to null"):
        ReaderFiles(open_readers()).open(small_head())
