"""The reconstruct stage: coefficients of a clip store, the same bytes for any number of workers, failures as rows."""

from __future__ import annotations

import csv
import shutil
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from occlufacediff.config.reconstruction import ReconstructionSettings
from occlufacediff.errors import AssetError
from occlufacediff.files import new_hdf5
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.skinning import landmarks_numpy, project_numpy, vertices_numpy
from occlufacediff.stages import reconstruct
from occlufacediff.stages.coefficients import COEFFICIENTS
from occlufacediff.stages.reconstruct import reconstruct_subject

FRAMES = 30


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A head file of 468 landmarks on a curved sheet, the lower half hanging on the jaw."""
    rng = np.random.default_rng(3)
    angle, height = rng.uniform(-1.2, 1.2, 468), rng.uniform(-0.09, 0.09, 468)
    middle = np.stack([0.075 * np.sin(angle), height, 0.075 * np.cos(angle)], axis=1)
    vertices = (middle[:, None] + 0.002 * rng.normal(size=(468, 3, 3))).reshape(-1, 3)
    low = (vertices[:, 1] < -0.04).astype(float)
    asset = HeadAsset(
        name="small",
        v_template=vertices,
        faces=np.arange(1404).reshape(468, 3),
        shapedirs=0.003 * np.sin(np.einsum("vc,nkc->vkn", vertices, 25 * rng.normal(size=(4, 3, 3)))),
        expdirs=0.006 * np.sin(np.einsum("vc,nkc->vkn", vertices, 25 * rng.normal(size=(5, 3, 3)))),
        J_regressor=np.full((2, 1404), 1 / 1404),
        parents=np.array([-1, 0]),
        weights=np.stack([1 - low, low], axis=1),
        lmk_face_idx=np.arange(468),
        lmk_b_coords=np.full((468, 3), 1 / 3),
        landmark_indices=np.arange(468),
        expression_names=("smile", "frown", "pucker", "blink", "sneer"),
    )
    path = tmp_path_factory.mktemp("head") / "head.npz"
    asset.save(path)
    return path


@pytest.fixture(scope="module")
def clips(head: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip store: two clips of known motion, one with noise for landmarks, one in which no frame is valid."""
    asset = HeadAsset.load(head)
    path = tmp_path_factory.mktemp("clips") / "M101.h5"
    time = np.arange(FRAMES)[:, None] / 25
    with new_hdf5(path) as file:
        for number, clip in enumerate(("happy/level_1/001", "happy/level_1/002", "sad/level_1/003", "sad/level_2/001")):
            rng = np.random.default_rng(number)
            exp = 0.4 + 0.4 * np.sin(time * rng.uniform(3, 9, 5))
            jaw = np.column_stack([0.1 + 0.1 * np.sin(9 * time), np.zeros((FRAMES, 2))])
            vertices = vertices_numpy(asset, rng.normal(size=4), exp, 0.2 * np.sin(time * [1, 2, 3]), jaw)
            flat = project_numpy(landmarks_numpy(asset, vertices), np.tile([8.0, 0, 0], (FRAMES, 1)))
            if clip == "sad/level_1/003":
                flat = rng.uniform(-1, 1, flat.shape)
            valid = np.delete(np.arange(FRAMES), [4, 5]) if number < 3 else np.empty(0)
            landmarks = np.zeros((FRAMES, 478, 2), dtype=np.float32)
            landmarks[:, :468] = flat
            file[f"{clip}/landmarks"] = landmarks
            file[f"{clip}/valid_frames_idx"] = valid.astype(np.int32)
            file[f"{clip}/crop_boxes"] = np.tile(np.float32([100, 100, 300]), (FRAMES, 1))
    return path


def run(folder: Path, clips: Path, head: Path, workers: int) -> tuple[Path, Path]:
    """Run the stage into a folder; its two outputs."""
    outputs = folder / "M101.h5", folder / "M101.csv"
    reconstruct_subject("M101", clips, head, *outputs, settings=ReconstructionSettings(), workers=workers)
    return outputs


def test_coefficients_rows_and_equal_bytes(tmp_path: Path, clips: Path, head: Path) -> None:
    one = run(tmp_path / "one", clips, head, workers=1)
    two = run(tmp_path / "two", clips, head, workers=2)
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in two]
    with one[1].open(encoding="utf-8") as file:
        rows = {row["clip"]: row for row in csv.DictReader(file)}
    assert [row["status"] for row in rows.values()] == ["ok", "ok", "failed", "failed"]
    assert rows["sad/level_1/003"]["reason"] == "bad_fit"
    assert "bad_fit_px" in rows["sad/level_1/003"]["message"]
    assert rows["sad/level_2/001"]["reason"] == "no_face"
    assert rows["happy/level_1/001"]["frames_carried"] == "2"
    assert float(rows["happy/level_1/001"]["error_px"]) < 0.6
    with h5py.File(one[0]) as file:
        group = file["happy/level_1/002"]
        shapes = {"exp": (FRAMES, 5), "jaw": (FRAMES, 3), "global_pose": (FRAMES, 3), "cam": (FRAMES, 3), "shape": (4,)}
        assert {name: group[name].shape for name in COEFFICIENTS} == shapes
        assert {group[name].dtype for name in COEFFICIENTS} == {np.dtype("float32")}
        assert group.attrs["error_px"] == float(rows["happy/level_1/002"]["error_px"])
        assert "sad/level_1/003" not in file
        assert file.attrs["head_name"] == "small"
        assert file.attrs["head_digest"] == HeadAsset.load(head).digest
    assert not list((tmp_path / "one").glob(".*"))


def test_missing_head_is_named(tmp_path: Path, clips: Path) -> None:
    with pytest.raises(AssetError, match=r"nowhere\.npz"):
        run(tmp_path, clips, tmp_path / "nowhere.npz", workers=1)


def test_a_head_that_was_replaced_is_loaded_again(tmp_path: Path, head: Path) -> None:
    path = tmp_path / "head.npz"
    shutil.copy(head, path)
    first = reconstruct._basis(path)
    assert reconstruct._basis(path) is first
    asset = HeadAsset.load(head)
    replace(asset, v_template=1.1 * np.asarray(asset.v_template)).save(path)
    assert reconstruct._basis(path).head_digest != first.head_digest
