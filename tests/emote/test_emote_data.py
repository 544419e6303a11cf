"""Stages that read landmarks and coefficients of EMOTE, with generated files in the same layout."""

from __future__ import annotations

import csv
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn

import h5py
import numpy as np
import pytest

from occlufacediff.config.emote import EmoteSettings
from occlufacediff.config.load import load_config
from occlufacediff.errors import AssetError, ClipError, ConfigError
from occlufacediff.files import new_hdf5
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.emote_coefficients import read_emote_coefficients
from occlufacediff.head.flame import load_flame
from occlufacediff.head.skinning import landmarks_numpy, project_numpy, vertices_numpy
from occlufacediff.landmarks.emote_landmarks import read_emote_landmarks
from occlufacediff.media.encode import VideoWriter
from occlufacediff.stages import emote_coefficients
from occlufacediff.stages.emote_coefficients import read_emote_coefficients_subject
from occlufacediff.stages.emote_landmarks import read_emote_landmarks_subject
from occlufacediff.storage import StorageError
from occlufacediff.workflow.inputs import check_inputs
from occlufacediff.workflow.shards import write_index

sys.path.insert(0, str(Path(__file__).resolve().parent))
from stand_ins import coefficient_arrays, write_coefficients, write_landmarks

FRAMES = 30
CLIPS = ("happy/level_1/001", "happy/level_1/002", "sad/level_2/001", "sad/level_3/004", "neutral/level_1/009")


def faces_of(frames: int, *, others: bool = False) -> list[list[np.ndarray]]:
    """A moving face of 478 points, missing in frame 3, optionally with a smaller second face."""
    points = np.random.default_rng(0).uniform(0, 1, (478, 3)).astype(np.float32)
    big = [points * [90, 110, 0.1] + [40 + number, 30, 0] for number in range(frames)]
    small = points * [20, 24, 0.1] + [150, 90, 0]
    listed = [[small, face] if others else [face] for face in big]
    if frames > 3:
        listed[3] = []
    return [[face.astype(np.float32) for face in faces] for faces in listed]


def rows_of(path: Path) -> dict[str, dict[str, str]]:
    with path.open(newline="") as file:
        return {row["clip"]: row for row in csv.DictReader(file)}


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Converted videos of one subject, with their index."""
    folder = tmp_path_factory.mktemp("video25")
    rows: list[dict[str, Any]] = []
    for clip in CLIPS:
        (folder / clip).parent.mkdir(parents=True, exist_ok=True)
        with VideoWriter(folder / f"{clip}.mp4", 25, (240, 180)) as writer:
            for _ in range(FRAMES):
                writer.write(np.zeros((180, 240, 3), np.uint8))
        rows.append({"clip": clip, "status": "ok", "video": f"{clip}.mp4", "frames": FRAMES})
    write_index(folder / "index.csv", rows, ("video", "frames"))
    return folder


def read_landmarks(tmp_path: Path, videos: Path, tree: Path, workers: int = 1) -> tuple[Path, Path]:
    outputs = tmp_path / "M003.h5", tmp_path / "M003.csv"
    read_emote_landmarks_subject(
        "M003",
        videos,
        videos / "index.csv",
        tree,
        *outputs,
        settings=EmoteSettings(),
        min_found=0.25,
        workers=workers,
    )
    return outputs


def test_landmarks_are_read_in_the_format_of_detected_ones(tmp_path: Path, videos: Path) -> None:
    tree = tmp_path / "front"
    holes = faces_of(FRAMES)
    holes[5][0][7] = np.nan
    write_landmarks(tree / CLIPS[0], faces_of(FRAMES, others=True))
    write_landmarks(tree / CLIPS[1], faces_of(FRAMES - 2), protocol=2)
    write_landmarks(tree / CLIPS[2], faces_of(FRAMES + 9))
    write_landmarks(tree / CLIPS[3], holes)
    landmarks, index = read_landmarks(tmp_path, videos, tree)
    rows = rows_of(index)
    assert [rows[clip]["reason"] for clip in CLIPS] == ["", "", "frames_differ", "", "no_landmarks"]
    assert "39 frames for 30" in rows[CLIPS[2]]["message"]
    assert [rows[clip]["frames_published"] for clip in CLIPS] == ["30", "28", "", "30", ""]
    assert rows[CLIPS[3]]["points_not_finite"] == "1"
    assert rows[CLIPS[0]]["frames_several_faces"] == "29"
    want = np.stack([face[-1] if face else np.full((478, 3), np.nan) for face in faces_of(FRAMES, others=True)])
    with h5py.File(landmarks) as file:
        assert file.attrs["detector"] == "emote"
        np.testing.assert_array_equal(file[CLIPS[0]]["landmarks_px"], want[..., :2].astype(np.float32))
        assert dict(file[CLIPS[0]].attrs) == {"width": 240, "height": 180, "fps": 25.0, "n_faces_max": 2}
        assert np.isnan(file[CLIPS[1]]["landmarks_px"][28:]).all()
        assert np.isfinite(file[CLIPS[1]]["landmarks_px"][27]).all()
    with pytest.raises(AssetError, match="no such folder"):
        read_landmarks(tmp_path, videos, tmp_path / "gone")


class Evil:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (str(self.path),)


def test_bad_landmark_files_are_named_in_the_error(tmp_path: Path) -> None:
    path = tmp_path / "landmarks_original.pkl"
    face = np.full((478, 3), 50, np.float32)
    cases: list[tuple[Any, str]] = [
        ({"a": 1}, "got a dict"),
        ([[face], [np.zeros((68, 2))]], r"frame 1 has shape \(1, 68, 2\)"),
        ([[face], "none"], "frame 1"),
        ([[face / 100]], "needs video pixels"),
        ([[face], [Evil(tmp_path / "victim")]], "rejected: it asks for .*mkdir"),
    ]
    for content, words in cases:
        path.write_bytes(pickle.dumps(content))
        with pytest.raises(ClipError, match=words) as caught:
            read_emote_landmarks(path)
        assert caught.value.reason == "bad_landmarks"
        assert str(path) in str(caught.value)
    path.write_bytes(pickle.dumps([[face]] * 9)[:300])
    with pytest.raises(ClipError, match="incomplete"):
        read_emote_landmarks(path)
    path.write_text("<html>")
    with pytest.raises(ClipError, match="web page"):
        read_emote_landmarks(path)
    assert not (tmp_path / "victim").exists()


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small head with as many coefficients as FLAME, converted from files in FLAME's format."""
    folder = tmp_path_factory.mktemp("flame")
    rng = np.random.default_rng(0)
    regressor = rng.random((5, 60))
    weights = rng.random((60, 5)) ** 3
    entries = {
        "v_template": 0.1 * rng.normal(size=(60, 3)),
        "f": rng.integers(0, 60, (80, 3)),
        "shapedirs": 0.003 * rng.normal(size=(60, 3, 400)),
        "posedirs": 0.001 * rng.normal(size=(60, 3, 36)),
        "J_regressor": regressor / regressor.sum(axis=1, keepdims=True),
        "kintree_table": np.array([[4294967295, 0, 1, 1, 1], [0, 1, 2, 3, 4]]),
        "weights": weights / weights.sum(axis=1, keepdims=True),
    }
    (folder / "generic_model.pkl").write_bytes(pickle.dumps(entries))
    np.savez(
        folder / "mediapipe_landmark_embedding.npz",
        lmk_face_idx=rng.integers(0, 80, 105),
        lmk_b_coords=rng.dirichlet([1, 1, 1], 105),
        landmark_indices=np.sort(rng.permutation(468)[:105]),
    )
    load_flame(folder / "generic_model.pkl", folder / "mediapipe_landmark_embedding.npz").save(folder / "flame.npz")
    return folder / "flame.npz"


def store_of(path: Path, landmarks: dict[str, np.ndarray]) -> Path:
    """A clip store with these landmarks (T, 478, 2); no face was detected in frame 4."""
    with new_hdf5(path) as file:
        for clip, points in landmarks.items():
            file[f"{clip}/landmarks"] = points
            file[f"{clip}/valid_frames_idx"] = np.delete(np.arange(len(points), dtype=np.int32), 4)
    return path


def test_coefficients_are_read_in_the_format_of_fitted_ones(tmp_path: Path, head: Path) -> None:
    asset = HeadAsset.load(head)
    tree, found = tmp_path / "front", {}
    lengths = {CLIPS[0]: FRAMES, CLIPS[1]: FRAMES + 2, CLIPS[2]: FRAMES - 3, CLIPS[3]: FRAMES - 4}
    for number, clip in enumerate(CLIPS):
        arrays = coefficient_arrays(FRAMES + 5, seed=number)
        motion = {name: values[:FRAMES] for name, values in arrays.items()}
        vertices = vertices_numpy(asset, arrays["shape"][0], motion["exp"], motion["global_pose"], motion["jaw"])
        found[clip] = np.zeros((FRAMES, 478, 2), np.float32)
        found[clip][:, asset.landmark_indices] = project_numpy(landmarks_numpy(asset, vertices), motion["cam"])
        if clip in lengths:
            write_coefficients(tree / clip, {name: values[: lengths[clip]] for name, values in arrays.items()})
    store = store_of(tmp_path / "clips.h5", found)
    outputs = [(tmp_path / f"{name}.h5", tmp_path / f"{name}.csv") for name in ("one", "two")]
    for workers, (coefficients, index) in enumerate(outputs, 1):
        settings = EmoteSettings()
        read_emote_coefficients_subject(
            "M003", store, head, tree, coefficients, index, settings=settings, workers=workers
        )
    (coefficients, index), other = outputs
    assert coefficients.read_bytes() == other[0].read_bytes()
    assert index.read_bytes() == other[1].read_bytes()
    rows = rows_of(index)
    assert {clip: rows[clip]["reason"] for clip in CLIPS} == {
        CLIPS[0]: "",
        CLIPS[1]: "",
        CLIPS[2]: "",
        CLIPS[3]: "frames_differ",
        CLIPS[4]: "no_coefficients",
    }
    assert [rows[clip]["frames_published"] for clip in CLIPS[:3]] == ["30", "32", "27"]
    assert float(rows[CLIPS[0]]["error_px"]) < 0.01
    assert float(rows[CLIPS[2]]["error_px"]) > 0.01
    want = coefficient_arrays(FRAMES + 5, seed=2)
    with h5py.File(coefficients) as file:
        assert file.attrs["head_name"] == "flame2020" and file.attrs["head_digest"] == HeadAsset.load(head).digest
        group = file[CLIPS[2]]
        np.testing.assert_array_equal(group["exp"][:27], want["exp"][:27])
        np.testing.assert_array_equal(group["exp"][27:], want["exp"][[26] * 3])
        assert {name: group[name].shape for name in group} == {
            "exp": (FRAMES, 100),
            "jaw": (FRAMES, 3),
            "global_pose": (FRAMES, 3),
            "cam": (FRAMES, 3),
            "shape": (300,),
        }


def test_coefficients_that_disappear_stop_the_stage(
    tmp_path: Path, head: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = store_of(tmp_path / "clips.h5", {CLIPS[0]: np.zeros((FRAMES, 478, 2), np.float32)})
    write_coefficients(tmp_path / "front" / CLIPS[0], coefficient_arrays(FRAMES))

    def lost(path: Path) -> NoReturn:
        path.unlink()
        read_emote_coefficients(path)
        raise AssertionError

    monkeypatch.setattr(emote_coefficients, "read_emote_coefficients", lost)
    outputs = tmp_path / "a.h5", tmp_path / "a.csv"
    with pytest.raises(StorageError, match="does not exist"):
        read_emote_coefficients_subject("M003", store, head, tmp_path / "front", *outputs, settings=EmoteSettings())
    assert not outputs[1].exists()


def test_bad_coefficient_files_are_named_in_the_error(tmp_path: Path) -> None:
    arrays = coefficient_arrays(6)
    path = write_coefficients(tmp_path / "clip", arrays)
    assert {name: values.shape for name, values in read_emote_coefficients(path).items()} == {
        name: values.shape for name, values in arrays.items()
    }
    cases: list[tuple[dict[str, Any], str]] = [
        ({"jaw": None}, r"entry 'jaw' is missing, expected shape \(1, frames, 3\)"),
        ({"exp": np.zeros((6, 50))}, r"'exp' has shape \(1, 6, 50\), expected \(1, frames, 100\)"),
        ({"cam": np.zeros((5, 3))}, r"'cam' has shape \(1, 5, 3\), expected \(1, 6, 3\)"),
        ({"shape": np.full((6, 300), np.nan)}, "'shape' contains values that are not finite"),
    ]
    for change, words in cases:
        write_coefficients(tmp_path / "clip", {**arrays, **change})
        with pytest.raises(ClipError, match=words) as caught:
            read_emote_coefficients(path)
        assert caught.value.reason == "bad_coefficients"
    path.write_bytes(path.read_bytes()[:1500])
    with pytest.raises(ClipError, match="cut short"):
        read_emote_coefficients(path)


def test_a_head_with_other_coefficients_is_rejected(tmp_path: Path, head: Path) -> None:
    from small_head import small_head

    small_head().save(tmp_path / "small.npz")
    store = store_of(tmp_path / "clips.h5", {})
    outputs = tmp_path / "a.h5", tmp_path / "a.csv"
    with pytest.raises(AssetError, match="EMOTE's have 300 and 100"):
        read_emote_coefficients_subject(
            "M003", store, tmp_path / "small.npz", tmp_path, *outputs, settings=EmoteSettings()
        )


def plain_config(**changes: Any) -> dict[str, Any]:
    import yaml
    from snakemake.utils import update_config

    config: dict[str, Any] = yaml.safe_load((Path(__file__).parents[2] / "config" / "default.yaml").read_text())
    update_config(config, changes)
    return config


def test_missing_folders_and_head_are_named_in_the_error(tmp_path: Path, head: Path) -> None:
    with pytest.raises(ConfigError, match=r"emote\.folder"):
        load_config(plain_config(landmarks={"source": "emote"}))
    folder = {"folder": str(tmp_path)}
    with pytest.raises(ConfigError, match=r"head: .*convert"):
        load_config(plain_config(reconstruction={"source": "emote"}, emote=folder))
    with pytest.raises(ConfigError, match=r"landmarks_original/mediapipe/M101/front"):
        check_inputs(load_config(plain_config(landmarks={"source": "emote"}, emote=folder)))


@pytest.mark.slow
def test_the_workflow_reads_emote_data_instead_of_detecting_and_fitting(tmp_path: Path, head: Path) -> None:
    root = Path(__file__).parents[2]
    for path in ("landmarks_original/mediapipe", "reconstructions/EMICA-MEAD_flame2020"):
        (tmp_path / path / "M101" / "front").mkdir(parents=True)
    config = ["subjects=[M101]", f"head={head}", "dataset=published_plan", f"emote={{folder: {tmp_path}}}"]
    config += ["landmarks={source: emote}", "reconstruction={source: emote}"]
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "reconstruct",
        "-s",
        str(root / "Snakefile"),
        "-d",
        str(tmp_path),
        "-n",
    ]
    done = subprocess.run(
        [*command, "--cores", "1", "--config", *config],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(root)},
        check=False,
    )
    text = done.stdout + done.stderr
    assert done.returncode == 0, text
    assert "read_emote_landmarks" in text and "read_emote_coefficients" in text
    assert "detect_landmarks" not in text and "fit_coefficients" not in text
