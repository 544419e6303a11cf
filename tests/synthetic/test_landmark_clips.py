"""Landmark clips: deterministic, consistent with the head, in step with their audio, without leaks of the mouth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray

from occlufacediff.config.occlusion import OcclusionSettings
from occlufacediff.config.open_weights import LandmarkClipSettings, OpenWeightsSettings
from occlufacediff.datasets.store import ClipStore
from occlufacediff.face_mesh import EYE_CORNERS, INNER_LIP_BOTTOM, INNER_LIP_TOP, LIPS
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.landmark_basis import LandmarkBasis
from occlufacediff.head.model import HeadModel
from occlufacediff.occlusion.occlude import occlude_frames
from occlufacediff.speech import features, recognition
from occlufacediff.speech.feature_columns import N_BANDS
from occlufacediff.stages.landmark_clips import draw_shard, list_landmark_clips, shard_names
from occlufacediff.synthetic.landmark_clips import LandmarkClip, generate_landmark_clip
from occlufacediff.training.mouth_swap import MouthSwap

# The clips are generated once: all tests of this file run on one worker.
pytestmark = pytest.mark.xdist_group("landmark_clips")

SEED = 5
SHORT = LandmarkClipSettings(clips=4, shard_clips=3, max_seconds=3.0)
IN_STEP = replace(SHORT, offset_frames=0.0)
N_TRAIN, N_TEST = 60, 20
#: Bound of the correlation by chance: slow motion of three seconds, mean over the test clips.
CHANCE = 0.25

Array = NDArray[np.floating]


@pytest.fixture(scope="module")
def head(small_open_head: Path) -> HeadAsset:
    return HeadAsset.load(small_open_head)


@pytest.fixture(scope="module")
def basis(head: HeadAsset) -> LandmarkBasis:
    return LandmarkBasis.of(head)


@pytest.fixture(scope="module")
def clips(head: HeadAsset, basis: LandmarkBasis) -> list[LandmarkClip]:
    """Clips of 75 frames without phone recognition, which would take three quarters of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recognition, "recognise_phones", lambda waveform: [])
        patch.setattr(features, "phone_features", lambda phones, rows, fps: np.zeros((rows, 40), np.float32))
        return [generate_landmark_clip(number, IN_STEP, SEED, head, basis) for number in range(N_TRAIN + N_TEST)]


def opening(lmk_2d: Array) -> Array:
    """Gap (T,) of the inner lips, relative to the distance of the eye corners."""
    span = np.linalg.norm(lmk_2d[:, EYE_CORNERS[1]] - lmk_2d[:, EYE_CORNERS[0]], axis=1)
    return np.linalg.norm(lmk_2d[:, INNER_LIP_BOTTOM] - lmk_2d[:, INNER_LIP_TOP], axis=1) / span


def test_a_clip_does_not_depend_on_earlier_clips(head, basis):
    alone = generate_landmark_clip(3, SHORT, SEED, head, basis)
    generate_landmark_clip(0, SHORT, SEED, head, basis)
    for name, values in generate_landmark_clip(3, SHORT, SEED, head, basis).arrays().items():
        assert values.tobytes() == getattr(alone, name).tobytes(), name
    other = generate_landmark_clip(3, SHORT, SEED + 1, head, basis)
    assert not np.array_equal(other.lmk_2d[:50], alone.lmk_2d[:50])


def test_landmarks_match_the_coefficients(head, clips):
    model = HeadModel(head)
    for clip in clips[:3]:
        exp, jaw, pose, cam = (torch.from_numpy(getattr(clip, name)) for name in ("exp", "jaw", "global_pose", "cam"))
        shape = torch.from_numpy(clip.shape)[None]
        points = model.project(model.landmarks(model.vertices(shape, exp, pose, jaw)), cam).numpy()
        assert np.abs(points - clip.lmk_2d[:, head.landmark_indices]).max() < 1e-5


def test_clips_differ_and_are_within_bounds(clips):
    assert len({clip.lmk_2d.tobytes() for clip in clips}) == len(clips)
    for clip in clips:
        assert len(clip.exp) == len(clip.lmk_2d) == len(clip.jaw) == 75
        assert clip.audio.shape == (300, 60)
        assert all(np.isfinite(getattr(clip, name)).all() for name in ("exp", "jaw", "global_pose", "cam", "audio"))
        assert clip.exp.min() >= -0.1 - 1e-6 and clip.exp.max() <= 1.0
        assert np.nanmax(np.abs(clip.lmk_2d)) < 1.5


def test_mouth_and_audio_are_in_step(clips):
    lags = range(-6, 7)
    curves = []
    for clip in clips[:30]:
        loud = clip.audio[:, :N_BANDS].mean(axis=1)[::4]
        gap = opening(clip.lmk_2d)
        inner = slice(6, 69)
        curves.append([np.corrcoef(loud[6 + lag : 69 + lag], gap[inner])[0, 1] for lag in lags])
    mean = np.nanmean(curves, axis=0)
    assert abs(lags[int(np.argmax(mean))]) <= 1
    assert mean.max() > 0.2


def as_batch(clips: Sequence[LandmarkClip], visible: Array) -> dict[str, torch.Tensor]:
    """Training batch of clips of equal length."""
    names = ("exp", "jaw", "global_pose", "cam", "shape", "lmk_2d")
    batch = {name: torch.from_numpy(np.stack([getattr(clip, name) for clip in clips])) for name in names}
    return batch | {"lmk_mask": torch.from_numpy(visible)}


def mouth_occluded(clips: Sequence[LandmarkClip]) -> Array:
    """Visibility (B, T, 468) with the mouth and its surroundings occluded in all frames."""
    settings = OcclusionSettings(mouth_with_chin=True, mouth_margin=0.2)
    visible = []
    for clip in clips:
        all_frames = np.ones(len(clip.lmk_2d), bool)
        occlusion = occlude_frames("mouth", clip.lmk_2d, all_frames, np.random.default_rng(0), settings)
        visible.append(occlusion.lmk_mask(clip.lmk_2d))
    return np.stack(visible)


def lips_occluded(clips: Sequence[LandmarkClip]) -> Array:
    """Visibility (B, T, 468) with only the lips occluded: cheeks and chin still move with the mouth."""
    visible = np.ones((len(clips), len(clips[0].exp), 468), np.float32)
    visible[:, :, list(LIPS)] = 0
    return visible


def correlation_of_prediction(clips: Sequence[LandmarkClip], head: HeadAsset, visible: Array, odds: float) -> float:
    """Correlation over time of the lip gap with its linear prediction from visible landmarks, mean over test clips."""
    torch.manual_seed(0)
    mouth_swap = MouthSwap(head)
    parts = [slice(0, N_TRAIN), slice(N_TRAIN, N_TRAIN + N_TEST)]
    inputs, targets = [], []
    for part in parts:
        lmk_2d = mouth_swap(as_batch(clips[part], visible[part]), odds).numpy()
        # Relative to the eyes: the crop depends on the chin, which random shifts and scales compensate in training.
        corners = lmk_2d[:, :, EYE_CORNERS]
        span = np.linalg.norm(corners[:, :, 1] - corners[:, :, 0], axis=-1)[:, :, None, None]
        relative = (lmk_2d - corners.mean(axis=2, keepdims=True)) / span
        points = np.where(visible[part, :, :, None] > 0, relative, 0.0)
        points -= points.mean(axis=1, keepdims=True)
        inputs.append(points.reshape(*points.shape[:2], -1))
        gaps = np.stack([opening(clip.lmk_2d) for clip in clips[part]])
        targets.append(gaps - gaps.mean(axis=1, keepdims=True))
    x, y = inputs[0].reshape(-1, inputs[0].shape[-1]).astype(np.float64), targets[0].ravel()
    square = x.T @ x
    weights = np.linalg.solve(square + 1e-4 * np.trace(square) / len(square) * np.eye(len(square)), x.T @ y)
    predicted = inputs[1] @ weights
    return float(np.mean([np.corrcoef(one, gap)[0, 1] for one, gap in zip(predicted, targets[1], strict=True)]))


def test_visible_landmarks_do_not_predict_an_occluded_mouth(clips, head):
    visible = mouth_occluded(clips)
    assert 0.2 < visible.mean() < 0.9
    assert abs(correlation_of_prediction(clips, head, visible, odds=1.0)) < CHANCE


def test_the_mouth_swap_removes_a_leak_that_is_found_without_it(clips, head):
    cheeks_seen = lips_occluded(clips)
    assert correlation_of_prediction(clips, head, cheeks_seen, odds=0.0) > 0.8
    assert abs(correlation_of_prediction(clips, head, cheeks_seen, odds=1.0)) < CHANCE


def test_shards_hold_each_clip_once_and_are_training_data(small_open_head, tmp_path):
    names = shard_names(SHORT)
    files = [tmp_path / f"{name}.h5" for name in names]
    for name, file in zip(names, files, strict=True):
        draw_shard(name, small_open_head, file, settings=SHORT, seed=SEED)
    again = tmp_path / "again.h5"
    draw_shard(names[1], small_open_head, again, settings=SHORT, seed=SEED)
    assert again.read_bytes() == files[1].read_bytes()
    with h5py.File(files[0]) as first, h5py.File(files[1]) as second:
        assert [*first, *second] == [f"clip_{number:06d}" for number in range(4)]
    manifest = tmp_path / "shards.csv"
    list_landmark_clips(files, manifest, settings=SHORT)
    table = pd.read_csv(manifest)
    assert table["split"].tolist() == ["train"] * 3 + ["validation"]
    store = ClipStore(manifest, "train", coefficients=files, clips=files, audio=files, audio_as="speech")
    assert len(store) == 3
    clip = store[0]
    assert clip.lmk_2d.shape == (75, 468, 2)
    assert clip.log_mel.shape == (300, 60)


def test_there_is_always_a_training_shard():
    with pytest.raises(ValueError, match="validation_shards"):
        LandmarkClipSettings(clips=100, shard_clips=100)
    assert shard_names(LandmarkClipSettings(clips=401, shard_clips=200)) == ["shard_000", "shard_001", "shard_002"]
    assert OpenWeightsSettings().denoiser.preset == "open"
