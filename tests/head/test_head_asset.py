"""The head asset's file: equal bytes, and every damage named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from occlufacediff.errors import AssetError
from occlufacediff.head.asset import HeadAsset


@pytest.fixture
def asset() -> HeadAsset:
    rng = np.random.default_rng(0)
    vertices, faces, landmarks = 50, 80, 10
    return HeadAsset(
        name="small",
        v_template=rng.normal(size=(vertices, 3)),
        faces=rng.integers(0, vertices, (faces, 3)),
        shapedirs=rng.normal(size=(vertices, 3, 4)),
        expdirs=rng.normal(size=(vertices, 3, 3)),
        J_regressor=rng.random((3, vertices)),
        parents=np.array([-1, 0, 1]),
        weights=rng.random((vertices, 3)),
        lmk_face_idx=rng.integers(0, faces, landmarks),
        lmk_b_coords=rng.random((landmarks, 3)),
        landmark_indices=np.arange(landmarks),
        expression_names=("smile", "frown", "pucker"),
        regions={"lips": np.array([1, 2]), "face": np.arange(9)},
        vertex_colors=np.full((vertices, 3), 200, dtype=np.uint8),
    )


def test_round_trip_is_the_same_to_the_byte(asset: HeadAsset, tmp_path: Path) -> None:
    asset.save(tmp_path / "a.npz")
    again = HeadAsset.load(tmp_path / "a.npz")
    again.save(tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert again.expression_names == asset.expression_names
    assert again.joint_names == ("root", "neck", "jaw")
    assert again.posedirs is None
    assert list(again.regions) == ["face", "lips"]
    np.testing.assert_array_equal(again.expdirs, asset.expdirs)
    assert again.vertex_colors is not None
    assert again.vertex_colors.dtype == np.uint8


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"expression_names": ("a",)}, "expdirs.*needs.*1"),
        ({"weights": np.ones((49, 3))}, "weights.*49.*needs.*50"),
        ({"faces": np.full((80, 3), 50)}, "faces.*0..49"),
        ({"parents": np.array([0, 0, 1])}, "parents"),
        ({"parents": np.array([-1, 0, 1, 2])}, "4 joints"),
        ({"v_template": np.full((50, 3), np.nan)}, "v_template.*finite"),
        ({"regions": {"lips": np.array([99])}}, "region_lips"),
        ({"landmark_indices": np.full(10, 468)}, "landmark_indices.*0..467"),
    ],
)
def test_wrong_entries_are_named(asset: HeadAsset, change: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(AssetError, match=message):
        replace(asset, **change)


def test_bad_files_are_named(asset: HeadAsset, tmp_path: Path) -> None:
    path = tmp_path / "head.npz"
    with pytest.raises(AssetError, match=r"head\.npz: no such file"):
        HeadAsset.load(path)
    path.write_text("<html>log in</html>")
    with pytest.raises(AssetError, match=r"head\.npz: not a readable npz"):
        HeadAsset.load(path)
    asset.save(path)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(AssetError, match=r"head\.npz: not a readable npz"):
        HeadAsset.load(path)
    np.savez(path, name="x")
    with pytest.raises(AssetError, match="'v_template' is missing"):
        HeadAsset.load(path)
    np.savez(path, name=np.array([{}], dtype=object), v_template=np.zeros(3))
    with pytest.raises(AssetError, match="plain arrays"):
        HeadAsset.load(path)
