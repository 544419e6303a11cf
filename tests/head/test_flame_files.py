"""FLAME's files: plain, sparse and chumpy arrays are read; pickles that could run code are rejected."""

from __future__ import annotations

import os
import pickle
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from occlufacediff.errors import AssetError
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.flame import load_flame, read_arrays

VERTICES = 40


@pytest.fixture
def entries() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {
        "v_template": rng.normal(size=(VERTICES, 3)),
        "f": rng.integers(0, VERTICES, (60, 3)).astype(np.uint32),
        "shapedirs": rng.normal(size=(VERTICES, 3, 400)),
        "posedirs": rng.normal(size=(VERTICES, 3, 36)),
        "J_regressor": rng.random((5, VERTICES)),
        "kintree_table": np.array([[4294967295, 0, 1, 1, 1], [0, 1, 2, 3, 4]]),
        "weights": rng.random((VERTICES, 5)),
        "bs_style": "lbs",
    }


@pytest.fixture
def embedding(tmp_path: Path) -> Path:
    path = tmp_path / "mediapipe_landmark_embedding.npz"
    np.savez(
        path,
        lmk_face_idx=np.arange(8, dtype=np.uint32),
        lmk_b_coords=np.full((8, 3), 1 / 3),
        landmark_indices=np.arange(8) * 9,
    )
    return path


@pytest.fixture
def chumpy(monkeypatch: pytest.MonkeyPatch) -> type:
    """A substitute for chumpy's array class, available for pickling and removed before reading."""
    module = ModuleType("chumpy.ch")

    class Ch:
        def __init__(self, x: np.ndarray) -> None:
            self.x = x

    Ch.__module__, Ch.__qualname__ = "chumpy.ch", "Ch"
    module.Ch = Ch  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "chumpy", ModuleType("chumpy"))
    monkeypatch.setitem(sys.modules, "chumpy.ch", module)
    return Ch


def write_pickle(path: Path, content: object, protocol: int) -> Path:
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    return path


@pytest.mark.parametrize("protocol", [2, 4])
def test_plain_sparse_and_chumpy_arrays_give_the_same_head(
    tmp_path: Path,
    entries: dict[str, Any],
    embedding: Path,
    chumpy: type,
    monkeypatch: pytest.MonkeyPatch,
    protocol: int,
) -> None:
    masks = write_pickle(tmp_path / "FLAME_masks.pkl", {"face": np.arange(9), "lips": np.array([3, 4])}, protocol)
    plain = write_pickle(tmp_path / "plain.pkl", entries, protocol)
    wrapped = dict(entries)
    wrapped["J_regressor"] = sparse.csc_matrix(entries["J_regressor"])
    wrapped |= {key: chumpy(entries[key]) for key in ("v_template", "shapedirs", "posedirs")}
    wrapped_path = write_pickle(tmp_path / "generic_model.pkl", wrapped, protocol)
    monkeypatch.delitem(sys.modules, "chumpy.ch")
    monkeypatch.delitem(sys.modules, "chumpy")
    first, second = (load_flame(path, embedding, masks) for path in (plain, wrapped_path))
    assert first.joint_names == ("root", "neck", "jaw", "left_eye", "right_eye")
    assert (first.n_shape, first.n_exp) == (300, 100)
    assert first.parents.tolist() == [-1, 0, 1, 1, 1]
    np.testing.assert_array_equal(first.regions["lips"], [3, 4])
    first.save(tmp_path / "first.npz")
    second.save(tmp_path / "second.npz")
    assert (tmp_path / "first.npz").read_bytes() == (tmp_path / "second.npz").read_bytes()
    stored = HeadAsset.load(tmp_path / "first.npz")
    assert stored.name == "flame2020"
    # Masks are no part of the motion: with or without them it is the same head.
    assert stored.digest == load_flame(plain, embedding).digest


class Evil:
    """Its pickle runs a command."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (str(self.path),)


class EvilEval(Evil):
    """Its pickle calls a builtin function."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return eval, (f"__import__('os').mkdir({str(self.path)!r})",)


@pytest.mark.parametrize("kind", [Evil, EvilEval])
def test_a_pickle_that_would_run_code_is_rejected(tmp_path: Path, kind: type[Evil]) -> None:
    victim = tmp_path / "victim"
    path = write_pickle(tmp_path / "evil.pkl", {"v_template": kind(victim)}, 4)
    with pytest.raises(AssetError, match=r"evil\.pkl: rejected.*(mkdir|eval)"):
        read_arrays(path)
    assert not victim.exists()


def test_damaged_files_are_named_in_the_error(tmp_path: Path, entries: dict[str, Any], embedding: Path) -> None:
    path = tmp_path / "model.pkl"
    with pytest.raises(AssetError, match=r"model\.pkl: no such file"):
        load_flame(path, embedding)
    path.write_text("<!DOCTYPE html><title>Log in</title>")
    with pytest.raises(AssetError, match="web page"):
        load_flame(path, embedding)
    write_pickle(path, entries, 4)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(AssetError, match=r"model\.pkl"):
        load_flame(path, embedding)
    write_pickle(path, [1, 2], 4)
    with pytest.raises(AssetError, match="has a list"):
        load_flame(path, embedding)
    write_pickle(path, {key: value for key, value in entries.items() if key != "weights"}, 4)
    with pytest.raises(AssetError, match="'weights' is missing"):
        load_flame(path, embedding)
    write_pickle(path, entries | {"shapedirs": np.zeros((VERTICES, 3, 150))}, 4)
    with pytest.raises(AssetError, match=r"shapedirs.*400"):
        load_flame(path, embedding)
    write_pickle(path, entries | {"weights": np.zeros((VERTICES, 4))}, 4)
    with pytest.raises(AssetError, match="weights"):
        load_flame(path, embedding)
    write_pickle(path, entries, 4)
    np.savez(embedding, lmk_face_idx=np.arange(8))
    with pytest.raises(AssetError, match="'lmk_b_coords' is missing"):
        load_flame(path, embedding)
