"""Clips without pictures: the same whatever was drawn before, true to the head, in step with their sound, no leaks."""

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
from occlufacediff.speech import features
from occlufacediff.speech.feature_columns import N_BANDS
from occlufacediff.stages.landmark_clips import draw_shard, list_landmark_clips, shard_names
from occlufacediff.synthetic.landmark_clips import LandmarkClip, draw_landmark_clips
from occlufacediff.training.mouth_swap import MouthSwap

# The head and the clips are drawn once: all tests of the file on one worker.
pytestmark = pytest.mark.xdist_group("unrendered")

SEED = 5
SHORT = LandmarkClipSettings(clips=4, shard_clips=3, max_seconds=3.0)
IN_STEP = replace(SHORT, offset_frames=0.0)
N_TRAIN, N_TEST = 60, 20
#: Chance of the correlation over three seconds of slow motion, averaged over the clips of the test.
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
    """Clips of 75 frames whose phones nobody listens to: recognition is three quarters of the work."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(features, "recognise_phones", lambda waveform: [])
        patch.setattr(features, "phone_features", lambda phones, rows, fps: np.zeros((rows, 40), np.float32))
        return [draw_landmark_clips(number, IN_STEP, SEED, head, basis) for number in range(N_TRAIN + N_TEST)]


def opening(lmk_2d: Array) -> Array:
    """Gap (T,) of the inner lips in spans of the eyes."""
    span = np.linalg.norm(lmk_2d[:, EYE_CORNERS[1]] - lmk_2d[:, EYE_CORNERS[0]], axis=1)
    return np.linalg.norm(lmk_2d[:, INNER_LIP_BOTTOM] - lmk_2d[:, INNER_LIP_TOP], axis=1) / span


def test_a_clip_is_the_same_whatever_was_drawn_before(head, basis):
    alone = draw_landmark_clips(3, SHORT, SEED, head, basis)
    draw_landmark_clips(0, SHORT, SEED, head, basis)
    for name, values in draw_landmark_clips(3, SHORT, SEED, head, basis).arrays().items():
        assert values.tobytes() == getattr(alone, name).tobytes(), name
    other = draw_landmark_clips(3, SHORT, SEED + 1, head, basis)
    assert not np.array_equal(other.lmk_2d[:50], alone.lmk_2d[:50])


def test_landmarks_are_what_the_coefficients_say(head, clips):
    model = HeadModel(head)
    for clip in clips[:3]:
        exp, jaw, pose, cam = (torch.from_numpy(getattr(clip, name)) for name in ("exp", "jaw", "global_pose", "cam"))
        shape = torch.from_numpy(clip.shape)[None]
        points = model.project(model.landmarks(model.vertices(shape, exp, pose, jaw)), cam).numpy()
        assert np.abs(points - clip.lmk_2d[:, head.landmark_indices]).max() < 1e-5


def test_clips_differ_and_stay_within_bounds(clips):
    assert len({clip.lmk_2d.tobytes() for clip in clips}) == len(clips)
    for clip in clips:
        assert len(clip.exp) == len(clip.lmk_2d) == len(clip.jaw) == 75
        assert clip.sound.shape == (300, 60)
        assert all(np.isfinite(getattr(clip, name)).all() for name in ("exp", "jaw", "global_pose", "cam", "sound"))
        assert clip.exp.min() >= -0.1 - 1e-6 and clip.exp.max() <= 1.0
        assert np.nanmax(np.abs(clip.lmk_2d)) < 1.5


def test_mouth_and_sound_are_in_step(clips):
    lags = range(-6, 7)
    curves = []
    for clip in clips[:30]:
        loud = clip.sound[:, :N_BANDS].mean(axis=1)[::4]
        gap = opening(clip.lmk_2d)
        inner = slice(6, 69)
        curves.append([np.corrcoef(loud[6 + lag : 69 + lag], gap[inner])[0, 1] for lag in lags])
    mean = np.nanmean(curves, axis=0)
    assert abs(lags[int(np.argmax(mean))]) <= 1
    assert mean.max() > 0.2


def as_batch(clips: Sequence[LandmarkClip], visible: Array) -> dict[str, torch.Tensor]:
    """Clips of one length as training has them."""
    names = ("exp", "jaw", "global_pose", "cam", "shape", "lmk_2d")
    batch = {name: torch.from_numpy(np.stack([getattr(clip, name) for clip in clips])) for name in names}
    return batch | {"lmk_mask": torch.from_numpy(visible)}


def mouth_hidden(clips: Sequence[LandmarkClip]) -> Array:
    """Visibility (B, T, 468) with the mouth and what tells of it hidden in all frames."""
    settings = OcclusionSettings(mouth_with_chin=True, mouth_margin=0.2)
    shown = []
    for clip in clips:
        all_frames = np.ones(len(clip.lmk_2d), bool)
        occlusion = occlude_frames("mouth", clip.lmk_2d, all_frames, np.random.default_rng(0), settings)
        shown.append(occlusion.lmk_mask(clip.lmk_2d))
    return np.stack(shown)


def lips_hidden(clips: Sequence[LandmarkClip]) -> Array:
    """Visibility (B, T, 468) with nothing hidden but the lips: cheeks and chin tell."""
    shown = np.ones((len(clips), len(clips[0].exp), 468), np.float32)
    shown[:, :, list(LIPS)] = 0
    return shown


def read_off(clips: Sequence[LandmarkClip], head: HeadAsset, visible: Array, odds: float) -> float:
    """How well a linear reader tells the opening of unseen clips from what is visible: mean correlation over time."""
    torch.manual_seed(0)
    mouth_swap = MouthSwap(head)
    parts = [slice(0, N_TRAIN), slice(N_TRAIN, N_TRAIN + N_TEST)]
    inputs, targets = [], []
    for part in parts:
        lmk_2d = mouth_swap(as_batch(clips[part], visible[part]), odds).numpy()
        # In the frame of the eyes: place and size of the crop follow the chin, which training's shifts and scales hide.
        corners = lmk_2d[:, :, EYE_CORNERS]
        span = np.linalg.norm(corners[:, :, 1] - corners[:, :, 0], axis=-1)[:, :, None, None]
        relative = (lmk_2d - corners.mean(axis=2, keepdims=True)) / span
        seen = np.where(visible[part, :, :, None] > 0, relative, 0.0)
        seen -= seen.mean(axis=1, keepdims=True)
        inputs.append(seen.reshape(*seen.shape[:2], -1))
        gaps = np.stack([opening(clip.lmk_2d) for clip in clips[part]])
        targets.append(gaps - gaps.mean(axis=1, keepdims=True))
    x, y = inputs[0].reshape(-1, inputs[0].shape[-1]).astype(np.float64), targets[0].ravel()
    square = x.T @ x
    weights = np.linalg.solve(square + 1e-4 * np.trace(square) / len(square) * np.eye(len(square)), x.T @ y)
    told = inputs[1] @ weights
    return float(np.mean([np.corrcoef(one, gap)[0, 1] for one, gap in zip(told, targets[1], strict=True)]))


def test_visible_points_do_not_tell_of_a_hidden_mouth(clips, head):
    hidden = mouth_hidden(clips)
    assert 0.2 < hidden.mean() < 0.9
    assert abs(read_off(clips, head, hidden, odds=1.0)) < CHANCE


def test_mouth_swap_stop_a_leak_that_the_reader_finds_without_them(clips, head):
    cheeks_seen = lips_hidden(clips)
    assert read_off(clips, head, cheeks_seen, odds=0.0) > 0.8
    assert abs(read_off(clips, head, cheeks_seen, odds=1.0)) < CHANCE


def test_shards_hold_all_clips_once_and_serve_as_training_data(small_open_head, tmp_path):
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


def test_there_is_always_a_shard_to_learn_from():
    with pytest.raises(ValueError, match="validation_shards"):
        LandmarkClipSettings(clips=100, shard_clips=100)
    assert shard_names(LandmarkClipSettings(clips=401, shard_clips=200)) == ["shard_000", "shard_001", "shard_002"]
    assert OpenWeightsSettings().denoiser.preset == "open"
