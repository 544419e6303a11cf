"""Occluded parts of a recording are no training target, no input of the network and no ground truth."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

sys.path += [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parent.parent)]

from small_data import Files, write_small_data

from occlufacediff.config.evaluation import EvaluationSettings
from occlufacediff.config.occlusion import MaskSettings
from occlufacediff.config.training import LossSettings
from occlufacediff.datasets.clips import LEAST_KNOWN, Clip, known_runs
from occlufacediff.datasets.packed import PackedClips
from occlufacediff.datasets.store import ClipStore
from occlufacediff.errors import AssetError
from occlufacediff.evaluation.cases import make_case, unknown_frames
from occlufacediff.evaluation.observed import observed_truth
from occlufacediff.evaluation.scores import Prediction, Reference, score
from occlufacediff.head.asset import HeadAsset
from occlufacediff.training.objective import HeadTerms
from occlufacediff.training.windows import WindowDataset, collate

#: Landmarks hidden in frames 30 to 39 of the first clip of each subject, and always in the second.
HIDDEN = slice(100, 200)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """Clips of 70 and 50 frames; of the first the motion of frames 30 to 39 is not known, of the second none is."""
    files = write_small_data(tmp_path_factory.mktemp("hidden"))
    for clips, coefficients in zip(files.clips, files.coefficients, strict=True):
        with h5py.File(clips, "r+") as store, h5py.File(coefficients, "r+") as motion:
            store.attrs["visibility"] = motion.attrs["visibility"] = "masks"
            for clip, frames, hidden in (("000", 70, slice(30, 40)), ("001", 50, slice(None))):
                visible, known = np.ones((frames, 468), np.uint8), np.ones(frames, np.uint8)
                visible[hidden, HIDDEN], known[hidden] = 0, 0
                store[f"happy/level_1/{clip}/lmk_visible"] = visible
                store[f"happy/level_1/{clip}/known_frames"] = known
                motion[f"happy/level_1/{clip}/known_frames"] = known
    return files


def whole_clips(files: Files, split: str = "train", audio_as: str = "log_mel") -> ClipStore:
    return ClipStore(
        files.manifest,
        split,
        coefficients=files.coefficients,
        clips=files.clips,
        audio=files.audio,
        audio_as=audio_as,
    )


def packed_clips(files: Files, audio_as: str = "log_mel") -> PackedClips:
    return PackedClips(
        files.manifest,
        "train",
        face=files.packed(),
        landmarks=True,
        audio=files.packed(audio_as),
        audio_as=audio_as,
    )


@given(st.lists(st.booleans(), max_size=120), st.integers(1, 30))
def test_runs_are_the_long_enough_known_stretches(known: list[bool], least: int) -> None:
    runs = known_runs(np.array(known, bool), least)
    for run in runs:
        assert all(known[run])
        assert run.stop - run.start >= least
        assert run.start == 0 or not known[run.start - 1]
        assert run.stop == len(known) or not known[run.stop]
    text = "".join("x" if value else " " for value in known)
    assert [run.stop - run.start for run in runs] == [len(word) for word in text.split() if len(word) >= least]


@pytest.mark.parametrize("audio_as", ["log_mel", "waveform"])
def test_training_gets_the_known_runs_with_their_audio(files: Files, audio_as: str) -> None:
    whole, known = whole_clips(files, audio_as=audio_as), packed_clips(files, audio_as)
    assert len(whole) == len(known) == 4
    assert [len(known[index]) for index in range(4)] == [30, 30, 30, 30]
    assert known.clip_id(0) == known.clip_id(1) == whole.clip_id(0)
    first, second = known[0], known[1]
    np.testing.assert_array_equal(first.motion, whole[0].motion[:30])
    np.testing.assert_array_equal(second.motion, whole[0].motion[40:])
    each = 4 if audio_as == "log_mel" else 640
    audio, all_of_it = getattr(second, audio_as), getattr(whole[0], audio_as)
    np.testing.assert_array_equal(audio, all_of_it[40 * each :])
    assert second.known is not None
    assert second.known.all()


def test_a_split_without_known_motion_is_refused(files: Files, tmp_path: Path) -> None:
    text = files.manifest.read_text().replace("A1,happy/level_1/000,train", "A1,happy/level_1/000,unused")
    text = text.replace("A2,happy/level_1/000,train", "A2,happy/level_1/000,unused")
    (tmp_path / "manifest.csv").write_text(text)
    with pytest.raises(AssetError, match=rf"no clip of the train split has {LEAST_KNOWN} consecutive frames"):
        PackedClips(tmp_path / "manifest.csv", "train", face=files.packed())


def test_hidden_landmarks_are_neither_shown_nor_a_target(files: Files) -> None:
    dataset = WindowDataset(whole_clips(files), seed=0, masks=MaskSettings(), tempo=0.1)
    samples = [dataset[index] for index in range(12)]
    for sample in samples:
        hidden = np.isnan(sample["lmk_target"]).any(axis=-1)
        assert hidden.any()
        assert not np.delete(hidden, np.r_[HIDDEN], axis=1).any()
        assert (sample["lmk_mask"][hidden] == 0).all()
        assert np.isfinite(sample["lmk_2d"]).all()
    batch = collate(samples)
    terms = HeadTerms(HeadAsset.load(files.head))
    motion = torch.cat([batch["exp"], batch["jaw"]], -1).requires_grad_()
    weights = LossSettings(landmarks_2d=1.0)
    loss = terms(motion, batch, weights)["landmarks_2d"]
    loss.backward()
    assert motion.grad is not None
    assert torch.isfinite(motion.grad).all()
    # The motion is the true one: what is visible fits.
    assert float(loss.detach()) < 0.02


@pytest.fixture(scope="module")
def clip(files: Files) -> Clip:
    return whole_clips(files, "test")[0]


def scores_of(asset: HeadAsset, clip: Clip, kind: str = "mouth", noise: float = 0.0) -> dict[str, float]:
    """Scores of a still face; with noise on all that the recording hides."""
    case = make_case("C1/clip", clip, kind, EvaluationSettings(), seed=0)
    reference = Reference.of(asset, clip)
    truth, observed = reference.truth, reference.observed
    if noise:
        assert clip.lmk_2d is not None
        rng = np.random.default_rng(0)
        vertices, landmarks, points = truth.vertices.copy(), truth.landmarks.copy(), clip.lmk_2d.copy()
        vertices[~observed.vertices] += noise * rng.normal(size=vertices[~observed.vertices].shape)
        landmarks[~observed.landmarks] += noise * rng.normal(size=landmarks[~observed.landmarks].shape)
        assert clip.lmk_visible is not None
        points[~clip.lmk_visible] += noise * rng.normal(size=points[~clip.lmk_visible].shape)
        truth = replace(truth, vertices=vertices, landmarks=landmarks)
        reference = replace(reference, truth=truth, clip=replace(clip, lmk_2d=points))
    return score(Prediction.of(reference, 0 * clip.motion, case.visible, case.occlusion.frames)).values


def test_all_visible_scores_as_if_nobody_had_observed(files: Files, clip: Clip) -> None:
    asset = HeadAsset.load(files.head)
    plain = scores_of(asset, replace(clip, lmk_visible=None, known=None))
    observed = scores_of(asset, replace(clip, lmk_visible=np.ones((70, 468), bool), known=np.ones(70, bool)))
    assert set(observed) == set(plain)
    for name, value in plain.items():
        assert observed[name] == pytest.approx(value, rel=1e-6, abs=1e-9), name


def test_what_the_recording_hides_is_no_truth(files: Files, clip: Clip) -> None:
    asset = HeadAsset.load(files.head)
    plain, noisy = scores_of(asset, clip), scores_of(asset, clip, noise=1.0)
    assert plain == noisy
    assert plain != scores_of(asset, replace(clip, lmk_visible=None, known=None))
    case = make_case("C1/clip", clip, "none", EvaluationSettings(), seed=0)
    assert not case.visible[30:40, HIDDEN].any()
    assert case.visible[:30].all()
    np.testing.assert_array_equal(np.flatnonzero(unknown_frames(case)), np.arange(30, 40))


def test_a_recording_that_hides_everything_has_no_scores_but_the_predictions_own(files: Files, clip: Clip) -> None:
    asset = HeadAsset.load(files.head)
    nothing = replace(clip, lmk_visible=np.zeros((70, 468), bool), known=np.zeros(70, bool))
    assert set(scores_of(asset, nothing)) == {"jitter"}


def test_landmarks_that_a_detector_never_gives_leave_the_surface_observed(files: Files, clip: Clip) -> None:
    assert clip.lmk_2d is not None
    points = clip.lmk_2d.copy()
    points[:, 300:] = np.nan
    asset = HeadAsset.load(files.head)
    observed = observed_truth(asset, replace(clip, lmk_2d=points, lmk_visible=None, known=None))
    assert observed.vertices.all()
    assert not observed.landmarks[:, 300:].any()
