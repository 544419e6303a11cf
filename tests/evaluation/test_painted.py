"""Occlusions `natural` and `natural_true`: what methods receive, what is scored, and the table of found visibility."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
import yaml
from small_data import Files, write_small_data
from small_evaluation import SUBJECT, files_in, of_subject, write_evaluation
from small_head import N_EXP

from occlufacediff.config.evaluation import EvaluationSettings
from occlufacediff.config.load import load_config
from occlufacediff.config.reconstruction import ReconstructionSettings
from occlufacediff.datasets.store import ClipStore
from occlufacediff.errors import AssetError, ClipError, ConfigError
from occlufacediff.evaluation.cases import from_visible, make_case, unknown_frames
from occlufacediff.evaluation.methods import Method, Network, methods_of
from occlufacediff.evaluation.painted import PaintedClip, PaintedClips
from occlufacediff.evaluation.predictions import read_occlusion
from occlufacediff.evaluation.protocol import Reconstruction, batches, reconstruct
from occlufacediff.evaluation.visibility_counts import ALL, FIGURES, GROUPS, counts, region_table
from occlufacediff.face_mesh import LIPS
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.landmark_basis import LandmarkBasis
from occlufacediff.landmarks.normalise import CROP_SCALE
from occlufacediff.models.denoiser import Denoiser, DenoiserConfig
from occlufacediff.models.motion_prior import MotionPrior, MotionPriorConfig
from occlufacediff.occlusion.moving_picture import MovingPicture
from occlufacediff.reporting.visibility_tables import visibility_tables
from occlufacediff.stages.sample_motions import Checkpoints, sample_subject
from occlufacediff.visibility.margin import MARGIN
from occlufacediff.workflow.shards import write_index

DEFAULT = Path(__file__).resolve().parents[2] / "config" / "default.yaml"
CLIP, NAME = "C1/happy/level_1/000", "happy/level_1/000"
SETTINGS = EvaluationSettings(occlusions=("none", "mouth"), steps=2, methods=("ours", "interpolation"))
WITH_PAINTED = replace(SETTINGS, occlusions=("none", "mouth", "natural", "natural_true"))
LOST = 20


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return write_small_data(tmp_path_factory.mktemp("data"))


def store_of(files: Files) -> ClipStore:
    asset = HeadAsset.load(files.head)
    return ClipStore(
        files.manifest, "test", head=asset, coefficients=files.coefficients, clips=files.clips, audio=files.audio
    )


def painted_clip(landmarks: np.ndarray) -> PaintedClip:
    """A square before the lower half of the crop; the program misses its upper part, or is not certain; a frame has no
    face."""
    frames = len(landmarks)
    picture = np.full((224, 224, 4), 255, np.uint8)
    path = np.tile(np.array([112, 224, 1, 0], np.float32), (frames, 1))
    pixels = (landmarks + 1) * 112
    true, found, certain = (pixels[..., 1] < edge for edge in (112, 140, 130))
    detected = np.ones(frames, bool)
    detected[LOST] = False
    boxes = np.tile(np.array([100, 50, 200], np.float32), (frames, 1))
    moved = (landmarks + np.float32(0.01)).astype(np.float32)
    return PaintedClip("hand", MovingPicture(picture, path), moved, boxes, found, certain, true, detected)


def painted_of(store: ClipStore, number: int) -> PaintedClip:
    landmarks = store[number].lmk_2d
    assert landmarks is not None
    return painted_clip(landmarks)


def methods_for(files: Files) -> dict[str, Method]:
    torch.manual_seed(0)
    prior = MotionPrior(MotionPriorConfig.compact(N_EXP + 3)).eval()
    network = Network(Denoiser(DenoiserConfig.compact(prior.config.latent_dim)).eval(), prior)
    basis = LandmarkBasis.of(HeadAsset.load(files.head))
    return methods_of(SETTINGS, network, basis, ReconstructionSettings(), seed=4, device=torch.device("cpu"))


def reconstructed(files: Files, settings: EvaluationSettings) -> Reconstruction:
    store = store_of(files)
    return reconstruct(store, (0, 1), methods_for(files), settings, 4, painted=lambda number: painted_of(store, number))


def test_methods_receive_what_is_found_and_scores_use_the_truth(files: Files) -> None:
    store = store_of(files)
    clip, painted = store[0], painted_of(store, 0)
    assert clip.lmk_2d is not None
    found, given = (make_case(CLIP, clip, kind, WITH_PAINTED, 1, painted) for kind in ("natural", "natural_true"))
    for case, chosen in ((found, painted.certain), (given, painted.true)):
        received = case.visible[:LOST] > 0
        assert not (received & ~chosen[:LOST]).any() and received.any()
        # What lies beside a hidden landmark is left out, what lies far from all of them is not.
        low = np.where(~chosen, painted.lmk_2d[..., 1], np.inf).min(axis=1)[:LOST, None]
        assert received[painted.lmk_2d[:LOST, :, 1] < low - 1.1 * MARGIN].all()
        assert (chosen[:LOST] & ~received).any()
    assert not found.visible[LOST].any() and not given.visible[LOST].any()
    for case in (found, given):
        np.testing.assert_array_equal(case.scored, painted.true)
        np.testing.assert_array_equal(case.seen.lmk_2d, painted.lmk_2d)
        np.testing.assert_array_equal(case.seen.boxes, painted.boxes)
        assert case.occlusion.frames.all() and case.occlusion.occluder(3).shape == (224, 224, 4)
    assert unknown_frames(found).all()
    # Methods do not know of a missed occlusion, but baselines do not receive the true motion under it.
    nothing = np.ones_like(painted.found)
    part = replace(
        painted, found=nothing, certain=nothing, true=np.where(np.arange(len(clip))[:, None] < 5, painted.true, True)
    )
    missed = make_case(CLIP, clip, "natural", WITH_PAINTED, 1, part)
    assert (missed.visible[:LOST] > 0).all()
    np.testing.assert_array_equal(np.flatnonzero(unknown_frames(missed)), [*range(5), LOST])
    # Nor in frames in which the program finds an occlusion without reason.
    clear = replace(painted, true=nothing)
    assert unknown_frames(make_case(CLIP, clip, "natural", WITH_PAINTED, 1, clear)).all()


def test_an_estimated_head_uses_the_painted_landmarks(files: Files) -> None:
    store = store_of(files)
    clip, painted = store[0], painted_of(store, 0)
    basis = LandmarkBasis.of(HeadAsset.load(files.head))
    case = make_case(CLIP, clip, "natural", WITH_PAINTED, 1, painted)
    wrong = np.zeros((len(clip), 3), np.float32)
    estimated = from_visible(case, wrong, basis, ReconstructionSettings(), CROP_SCALE)
    assert estimated.seen.boxes is not None and (estimated.seen.boxes[:, 2] > 50).all()
    assert np.isnan(estimated.seen.lmk_2d[case.visible == 0]).all()


def test_painted_kinds_change_no_bit_of_the_others(files: Files) -> None:
    alone, both = reconstructed(files, SETTINGS), reconstructed(files, WITH_PAINTED)
    assert len(both.made) == 2 * len(alone.made) and not both.failures
    for place, made in alone.made.items():
        np.testing.assert_array_equal(made.motion, both.made[place].motion)
    many = replace(WITH_PAINTED, batch_size=3)
    assert batches(store_of(files), many) == batches(store_of(files), replace(SETTINGS, batch_size=3))


def test_painted_clips_are_kept_in_a_file(files: Files, tmp_path: Path) -> None:
    painted = painted_of(store_of(files), 0)
    with h5py.File(tmp_path / "C1.h5", "w") as file:
        painted.write(file.create_group(NAME))
    clips = PaintedClips(tmp_path / "C1.h5", {"sad/level_1/001": ("no_face", "v.mp4: no face")})
    kept = clips[NAME]
    for name in ("lmk_2d", "boxes", "found", "certain", "true", "detected", "occluder"):
        np.testing.assert_array_equal(getattr(kept, name), getattr(painted, name))
    with pytest.raises(ClipError, match=r"v\.mp4: no face"):
        clips["sad/level_1/001"]
    with pytest.raises(AssetError, match=r"C1\.h5: clip sad/level_1/002 is missing; paint the occluders again"):
        clips["sad/level_1/002"]
    with pytest.raises(AssetError, match=r"none\.h5: cannot be read"):
        PaintedClips(tmp_path / "none.h5", {})


def test_the_job_samples_painted_clips_and_lists_those_without_a_face(tmp_path: Path) -> None:
    write_evaluation(tmp_path, clips=2)
    files = files_in(tmp_path)
    store = store_of(files)
    with h5py.File(tmp_path / "painted.h5", "w") as file:
        painted_of(store, 0).write(file.create_group(NAME))
    rows = [
        {"clip": NAME, "status": "ok", "reason": "", "message": ""},
        {"clip": "happy/level_1/001", "status": "failed", "reason": "no_face", "message": "hidden altogether"},
    ]
    write_index(tmp_path / "painted.csv", rows)
    out = tmp_path / "C1.h5", tmp_path / "C1.csv"
    settings = replace(WITH_PAINTED, occlusions=("natural", "natural_true"), methods=("neutral",))
    arguments = (
        *(SUBJECT, files.manifest, *of_subject(files), files.head),
        *(Checkpoints(tmp_path / "motion_prior", tmp_path / "denoiser"), *out),
    )
    options = {"settings": settings, "reconstruction": ReconstructionSettings(), "seed": 4, "occlusion_seed": 4}
    with pytest.raises(ValueError, match="needs the painted clips"):
        sample_subject(*arguments, **options, device="cpu")
    sample_subject(*arguments, **options, device="cpu", painted=(tmp_path / "painted.h5", tmp_path / "painted.csv"))
    failed = list(csv.DictReader(out[1].open()))
    assert [(row["occlusion"], row["clip"], row["reason"]) for row in failed] == [
        ("natural", "happy/level_1/001", "no_face"),
        ("natural_true", "happy/level_1/001", "no_face"),
    ]
    occlusion, visible = read_occlusion(out[0], "natural", CLIP)
    assert occlusion.moving is not None
    np.testing.assert_array_equal(visible, painted_of(store, 0).true)
    with h5py.File(out[0], "r") as file:
        received = file[f"natural/occlusion/{CLIP}/lmk_received"][()]
    assert received.sum() > visible[np.arange(len(visible)) != LOST].sum() and not received[LOST].any()


def test_regions_have_precision_recall_and_iou() -> None:
    true, found = np.ones((10, 468), bool), np.ones((10, 468), bool)
    true[:4, list(LIPS)] = False
    found[2:8, list(LIPS)] = False
    rows = [{"occluder": "hand"} | {name: str(value) for name, value in counts(found, true).items()}]
    clear = np.ones((10, 468), bool)
    rows.append({"occluder": "cup"} | {name: str(value) for name, value in counts(clear, clear).items()})
    assert set(rows[0]) == set(FIGURES)
    table = region_table(rows).set_index(["occluder", "region"])
    assert set(table.index) == {(occluder, group) for occluder in (ALL, "hand", "cup") for group in GROUPS}
    mouth = table.loc["hand", "mouth"]
    assert (mouth["precision"], mouth["recall"]) == pytest.approx((2 / 6, 2 / 4))
    assert (mouth["iou_hidden"], mouth["iou_visible"]) == pytest.approx((2 / 8, 2 / 8))
    assert table.loc[ALL, "mouth"]["iou_visible"] == pytest.approx(12 / 18)
    nothing = table.loc["cup", "face"]
    assert np.isnan(nothing["precision"]) and np.isnan(nothing["recall"]) and nothing["iou_visible"] == 1
    regions, occluders = visibility_tables(table.reset_index())
    words = {"whole face", "mouth", "nose", "left eye", "right eye", "brows", "chin and cheeks"}
    assert {row["name"] for row in regions["rows"]} == words
    assert next(row for row in occluders["rows"] if row["name"] == "cup")["cells"][0] == ""
    assert list(region_table([])["clips"]) == [0] * len(GROUPS)


def test_the_detector_of_painted_clips_must_see_the_whole_mesh() -> None:
    config = yaml.safe_load(DEFAULT.read_text())
    config["landmarks"]["detector"] = "face_alignment"
    message = r"evaluation\.occlusions: got 'natural' .*leave natural and natural_true out"
    with pytest.raises(ConfigError, match=message):
        load_config(config)
    config["evaluation"]["occlusions"] = ["none", "mouth"]
    assert load_config(config).evaluation.painted == ()


def test_settings_of_painting_ignore_the_rest() -> None:
    base = EvaluationSettings()
    assert base.painted == ("natural", "natural_true")
    assert replace(base, steps=7, methods=("neutral",)).of_painting() == base.of_painting()
    assert replace(base, natural_occluders=("hand",)).of_painting() != base.of_painting()
    assert EvaluationSettings(occlusions=("none", "natural")).painted == ("natural",)
