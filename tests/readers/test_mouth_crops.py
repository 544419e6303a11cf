"""Mouth crops and SyncNet's windows on inputs whose values are known."""

from __future__ import annotations

import numpy as np
import pytest
from small_head import small_head

from occlufacediff import face_mesh
from occlufacediff.head.skinning import landmarks_numpy, project_numpy, vertices_numpy
from occlufacediff.readers import syncnet
from occlufacediff.readers.mouth_crops import (
    POINTS,
    HeadPictures,
    mouth_centres,
    mouth_crops,
    reader_input,
    smoothed_landmarks,
)


def test_landmarks_are_averaged_over_twelve_frames_around_their_centroid():
    # Two points; the second one moves to x = 12 in frame 10 only.
    points = np.zeros((20, 2, 2))
    points[10, 1, 0] = 12.0
    found = smoothed_landmarks(points)
    # Frames 5 to 16 see frame 10 (i - 6 <= 10 <= i + 5): the second point is at 1, the centroid at 0.5.
    # The centroid of the frame itself is put back: 0, and 6 in frame 10.
    for frame in range(20):
        inside = 5 <= frame <= 16
        centroid = 6.0 if frame == 10 else 0.0
        expected = np.array([-0.5, 0.5]) * inside + centroid
        np.testing.assert_allclose(found[frame, :, 0], expected, atol=1e-12)
    np.testing.assert_allclose(found[..., 1], 0.0, atol=1e-12)


def test_the_first_and_last_frame_are_repeated():
    points = np.zeros((3, 2, 2))
    points[0, 1, 0] = 12.0
    # Frame 2 sees frames -4 to 7: frame 0 five times.
    np.testing.assert_allclose(smoothed_landmarks(points)[2, :, 0], [-2.5, 2.5], atol=1e-12)


def test_the_points_are_those_of_the_published_evaluation():
    assert len(POINTS) == len(set(POINTS)) == 105


def test_the_centre_is_the_mean_of_the_lips_in_pixels():
    indices = np.array([*face_mesh.LIPS, 1, *face_mesh.RIGHT_BROW])
    landmarks = np.zeros((4, len(indices), 2))
    landmarks[:, : len(face_mesh.LIPS)] = [0.5, 0.25]
    landmarks[:, len(face_mesh.LIPS)] = 0.9  # point 1 is none of the 105
    np.testing.assert_allclose(mouth_centres(landmarks, indices), np.tile([168.0, 140.0], (4, 1)))


def test_a_crop_is_cut_around_its_centre():
    picture = np.zeros((1, 224, 224, 3), np.uint8)
    picture[0, 140, 168] = 200
    # The pixel 168 covers 168 to 169; a centre of 168.5 lies in its middle.
    crop = mouth_crops(picture, np.array([[169.0, 141.0]]))[0]
    assert crop.shape == (96, 96)
    assert np.unravel_index(crop.argmax(), crop.shape) == (47, 47)
    assert crop[47, 47] == 200
    assert crop.sum() == 200


def test_a_crop_is_black_outside_the_picture():
    crop = mouth_crops(np.full((1, 224, 224, 3), 255, np.uint8), np.array([[0.0, 112.0]]))[0]
    assert (crop[:, :47] == 0).all()
    assert (crop[:, 49:] == 255).all()


def test_the_input_is_the_normalised_centre():
    crops = np.zeros((3, 96, 96), np.uint8)
    crops[:, 4:92, 4:92] = 255
    found = reader_input(crops)
    assert found.shape == (1, 3, 1, 88, 88)
    np.testing.assert_allclose(found, (1 - 0.421) / 0.165, rtol=1e-6)
    np.testing.assert_allclose(reader_input(np.zeros((1, 96, 96), np.uint8)), -0.421 / 0.165, rtol=1e-6)


def test_a_rendered_head_shows_its_mouth_in_the_crop():
    asset = small_head()
    zeros = np.zeros((2, 3), np.float32)
    vertices = vertices_numpy(asset, np.zeros(asset.n_shape), np.zeros((2, asset.n_exp)), zeros, zeros)
    cam = np.tile(np.array([8.0, 0.0, 0.0], np.float32), (2, 1))
    pictures = HeadPictures(asset)(vertices, cam)
    assert pictures.shape == (2, 224, 224, 3)
    assert (pictures[:, 0, 0] == 0).all()
    assert pictures[0, 112, 112].min() > 40
    flat = project_numpy(landmarks_numpy(asset, vertices), cam)
    crops = mouth_crops(pictures, mouth_centres(flat, asset.landmark_indices))
    assert crops.mean() > 30
    np.testing.assert_array_equal(crops[0], crops[1])


def test_mfcc_equal_the_values_of_python_speech_features():
    # Computed with python_speech_features 0.6, mfcc(samples, 16000).
    times = np.arange(8000) / 16000
    samples = np.round(
        8000 * np.sin(2 * np.pi * 220 * times) + 3000 * np.sin(2 * np.pi * 1800 * times) * np.cos(2 * np.pi * 3 * times)
    )
    found = syncnet.mfcc(samples)
    assert found.shape == (49, 13)
    first = [19.9047, 8.0992, -17.6233, 13.1797, 34.101, -10.8026, -46.6822, -17.1547, 6.3217]
    np.testing.assert_allclose(found[0, :9], first, atol=6e-5)
    last = [-45.6541, -16.5828, 4.4174]
    np.testing.assert_allclose(found[-1, -3:], last, atol=6e-5)


def test_windows_start_at_each_frame_and_have_their_own_audio():
    rng = np.random.default_rng(0)
    faces = rng.integers(0, 255, (20, 224, 224, 3), dtype=np.uint8)
    waveform = rng.standard_normal(20 * 640).astype(np.float32) / 10
    pairs = list(syncnet.windows(faces, waveform, batch=6))
    video, audio = (np.concatenate(side) for side in zip(*pairs, strict=True))
    # 20 frames give 79 MFCC frames: windows start at 0, 4, ..., 56.
    assert max(len(pair[0]) for pair in pairs) == 6
    assert video.shape == (15, 3, 5, 224, 224)
    assert audio.shape == (15, 1, 13, 20)
    np.testing.assert_array_equal(video[3, 0, 2], faces[5, ..., 2])  # blue first
    coefficients = syncnet.mfcc(waveform.astype(np.float64) * 32768)
    np.testing.assert_allclose(audio[3, 0, :, 1], coefficients[13], rtol=1e-5)


def test_a_clip_shorter_than_a_window_is_refused():
    with pytest.raises(ValueError, match="needs 5 frames"):
        next(syncnet.windows(np.zeros((4, 224, 224, 3), np.uint8), np.zeros(2560, np.float32)))
