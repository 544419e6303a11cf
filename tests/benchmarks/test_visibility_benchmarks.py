"""The benchmarks of painted recordings and of contact sheets, on a moving photograph."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data
from small_head import N_EXP, small_head

from occlufacediff.config.prediction import PredictionSettings
from occlufacediff.config.reconstruction import ReconstructionSettings
from occlufacediff.face_mesh import LIPS
from occlufacediff.media.encode import VideoWriter
from occlufacediff.models.checkpoint import save_checkpoint
from occlufacediff.models.denoiser import Denoiser, DenoiserConfig
from occlufacediff.models.motion_prior import MotionPrior, MotionPriorConfig
from occlufacediff.prediction.pipeline import Predictor

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import painted_recordings
import visibility_sheets

FRAMES = 40
NAMES = ("browInnerUp", "eyeBlinkLeft", "mouthFunnel", "mouthPucker", "mouthSmileLeft", "mouthRollUpper")


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("videos") / "talk.mp4"
    photograph = data.astronaut()
    noise = 0.1 * np.random.default_rng(0).standard_normal(FRAMES * 640)
    with VideoWriter(path, 25, (240, 240), audio=noise.astype(np.float32)) as writer:
        for number in range(FRAMES):
            writer.write(np.ascontiguousarray(photograph[:240, 100 + number // 3 : 340 + number // 3]))
    return path


def test_the_summary_weighs_frames() -> None:
    one = painted_recordings.LipErrors("a.mp4", 30, 2.0, 1.0, 4.0, 4.0, 1.0, 0.9)
    text = painted_recordings.summary([one, replace(one, clip="b.mp4", frames=10, found=6.0, given=5.0)])
    assert "mean over frames: found 3.00 mm, given 2.00 mm (+50.0 %)" in text
    assert "mean LVE: found 4.00 mm, given 4.00 mm (+0.0 %)" in text


@pytest.mark.slow
def test_a_hand_is_painted_over_the_mouth_and_the_motion_is_predicted_twice(video: Path, tmp_path: Path) -> None:
    head = replace(small_head(), expression_names=NAMES)
    head.save(tmp_path / "head.npz")
    torch.manual_seed(0)
    prior = MotionPrior(MotionPriorConfig.compact(N_EXP + 3))
    for name, network in (
        ("motion_prior", prior),
        ("denoiser", Denoiser(DenoiserConfig.compact(prior.config.latent_dim))),
    ):
        save_checkpoint(tmp_path / name, network, head_name=head.name, head_digest=head.digest, expression_names=NAMES)
    predictor = Predictor(
        tmp_path,
        tmp_path / "head.npz",
        settings=PredictionSettings(steps=2),
        # The small head is no face.
        reconstruction=ReconstructionSettings(bad_fit_px=1e6),
    )
    found = painted_recordings.measure(predictor, video, "talk.mp4", "hand", 1.6, 1)
    assert found is not None
    assert 5 <= found.frames <= round(0.65 * FRAMES) + 1
    assert found.found > 0 and found.given > 0
    assert found.most_found >= found.found and found.recall > 0.3
    assert painted_recordings.measure(predictor, video, "talk.mp4", "hand", 1.6, 1) == found
    strict = Predictor(tmp_path, tmp_path / "head.npz", settings=PredictionSettings(steps=2))
    assert painted_recordings.measure(strict, video, "talk.mp4", "hand", 1.6, 1) is None


@pytest.mark.slow
def test_the_occluder_covers_the_mouth(video: Path) -> None:
    seen = painted_recordings.watched(video, None)
    points = painted_recordings.from_crop(seen.lmk_2d, seen.boxes)
    first = next(painted_recordings.read_frames(video))
    drawn = [painted_recordings.draw_over_mouth("cup", points, first, name, 1) for name in ("a", "a", "b")]
    covered = [one.covers(points)[:, LIPS].mean(axis=1) for one in drawn]
    np.testing.assert_array_equal(covered[0], covered[1])
    assert (covered[0] != covered[2]).any()
    for one in covered:
        assert (one > 0.5).sum() >= 8 and not one[: round(0.2 * FRAMES)].any() and not one[-5:].any()


@pytest.mark.slow
def test_a_sheet_has_a_row_without_and_a_row_with_visibility(
    video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (video.parent / "text.txt").write_text("no video")
    arguments = ["--recordings", str(video.parent), "--out", str(tmp_path / "sheets"), "--columns", "3"]
    monkeypatch.setattr(sys, "argv", ["visibility_sheets.py", *arguments])
    visibility_sheets.main()
    assert [path.name for path in (tmp_path / "sheets").iterdir()] == ["talk.jpg"]
    sheet = np.asarray(Image.open(tmp_path / "sheets" / "talk.jpg"))
    assert sheet.shape == (448, 3 * 224, 3)
    greener = sheet[..., 1].astype(int) - np.maximum(sheet[..., 0], sheet[..., 2]) > 60
    assert greener[224:].sum() > 500 > 10 * greener[:224].sum()
