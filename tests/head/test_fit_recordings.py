"""The whole chain to coefficients on real faces and on rendered ones: detection, crop, fit."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from occlufacediff.config.landmarks import LandmarkSettings
from occlufacediff.config.openhead import OpenHeadSettings
from occlufacediff.config.reconstruction import ReconstructionSettings
from occlufacediff.config.synthetic import SyntheticSettings
from occlufacediff.face_mesh import INNER_LIP_BOTTOM, INNER_LIP_TOP
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.fit import FitResult, fit_clip
from occlufacediff.head.landmark_basis import LandmarkBasis
from occlufacediff.head.skinning import landmarks_numpy, vertices_numpy
from occlufacediff.landmarks.detect import make_detector
from occlufacediff.landmarks.interpolate import fill_missing
from occlufacediff.landmarks.normalise import crop_boxes, to_crop
from occlufacediff.landmarks.track import track_face
from occlufacediff.media.archives import unpack
from occlufacediff.media.frames import read_frames
from occlufacediff.openhead.build import build_open_head
from occlufacediff.stages.synthesise import expression_for
from occlufacediff.synthetic.appearance import draw_appearance
from occlufacediff.synthetic.clip import generate_clip
from occlufacediff.synthetic.plan import subject_clips
from occlufacediff.synthetic.render import ClipRenderer, camera_path
from occlufacediff.synthetic.speakers import make_speaker

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("recordings")]

MEAD_CLIP = "video/front/happy/level_1/024.mp4"


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> HeadAsset:
    """The open head as the workflow builds it."""
    path = tmp_path_factory.mktemp("head") / "open_head.npz"
    build_open_head(path, settings=OpenHeadSettings(), seed=1)
    assert path.stat().st_size < 8e6
    return HeadAsset.load(path)


def fitted(head: HeadAsset, frames: Iterable[NDArray[np.uint8]]) -> FitResult:
    with make_detector(LandmarkSettings(max_faces=1)) as detector:
        landmarks, _ = fill_missing(track_face(frames, detector).landmarks)
    boxes = crop_boxes(landmarks)
    crops = to_crop(landmarks, boxes)
    return fit_clip(LandmarkBasis.of(head), crops, settings=ReconstructionSettings(), boxes=boxes)


def test_real_faces(head: HeadAsset, shared: Path, tmp_path: Path) -> None:
    mead = tmp_path / "mead.mp4"
    unpack(shared / "real/mead/M003/video.tar", lambda name: mead if name == MEAD_CLIP else None)
    for video in (mead, shared / "real/clips/film_30fps.mp4"):
        fit = fitted(head, islice(read_frames(video), 75))
        figures = f"{video.name}: {fit.error_px:.2f} px, lips {fit.lips_px:.2f} px, r {fit.opening_correlation:.3f}"
        assert fit.error_px <= 1.3, figures
        assert fit.lips_px <= 1.6, figures
        assert fit.opening_correlation >= 0.95, figures


def test_rendered_speech(head: HeadAsset) -> None:
    """A face drawn, rendered and detected: the fit follows the landmarks, and they the true mouth."""
    settings, seed = SyntheticSettings(), 1
    clip = generate_clip(subject_clips("W103", settings)[3], settings, seed, fps=30, sample_rate=16000)
    look = draw_appearance(
        make_speaker("W103", seed, spread=settings.articulation_spread), head, settings.picture_size, seed
    )
    exp = expression_for(clip, head)
    fit = fitted(head, islice(ClipRenderer(head, look).frames(clip, exp, camera_path(clip, look, seed)), 60))
    assert fit.error_px <= 0.8
    assert fit.lips_px <= 1.0
    assert fit.opening_correlation >= 0.98
    still = np.zeros((60, 3))
    true, found = (
        landmarks_numpy(head, vertices_numpy(head, shape, actions, still, jaw))
        for shape, actions, jaw in ((look.shape, exp[:60], clip.jaw[:60]), (fit.shape, fit.exp, fit.jaw))
    )
    opening = [
        np.linalg.norm(points[:, INNER_LIP_TOP] - points[:, INNER_LIP_BOTTOM], axis=1) for points in (true, found)
    ]
    assert np.corrcoef(opening)[0, 1] >= 0.9
    assert np.degrees(np.abs(fit.global_pose - clip.global_pose[:60])).mean() < 3
