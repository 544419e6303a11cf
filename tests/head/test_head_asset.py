"""The head asset's file: equal bytes, and every damage named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from occlufacediff.errors import AssetError
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.digest import head_attributes, require_head


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


def test_the_digest_follows_what_determines_motion(asset: HeadAsset, tmp_path: Path) -> None:
    digest = asset.digest
    assert len(digest) == 64
    for change in ({"expdirs": asset.expdirs * 2}, {"parents": [-1, 0, 0]}, {"expression_names": ("a", "b", "c")}):
        assert replace(asset, **change).digest != digest
    for change in ({"name": "other"}, {"regions": {}}, {"vertex_colors": None}):
        assert replace(asset, **change).digest == digest
    asset.save(tmp_path / "head.npz")
    assert HeadAsset.load(tmp_path / "head.npz").digest == digest


def test_a_recipe_digest_is_stored_and_lost_with_the_arrays(asset: HeadAsset, tmp_path: Path) -> None:
    recipe = "0123456789abcdef" * 4
    asset.with_digest(recipe).save(tmp_path / "head.npz")
    loaded = HeadAsset.load(tmp_path / "head.npz")
    assert loaded.digest == recipe
    assert replace(loaded, expdirs=loaded.expdirs * 2).digest not in (recipe, asset.digest)
    with pytest.raises(AssetError, match="'digest' is 'abc', needs 64 hex digits"):
        asset.with_digest("abc")


def test_a_file_without_digest_gets_that_of_its_arrays(asset: HeadAsset, tmp_path: Path) -> None:
    asset.with_digest("ab" * 32).save(tmp_path / "head.npz")
    with np.load(tmp_path / "head.npz") as file:
        entries = {name: file[name] for name in file.files if name != "digest"}
    np.savez(tmp_path / "old.npz", **entries)
    assert HeadAsset.load(tmp_path / "old.npz").digest == asset.digest


def test_a_file_of_another_head_is_refused_by_name_and_digest(asset: HeadAsset) -> None:
    other = replace(asset, expdirs=asset.expdirs * 2)
    require_head("a.h5", head_attributes(asset), asset, "fit it again")
    message = rf"a\.h5: .*'small' \(digest {asset.digest[:12]}\).*in use is 'small' \(digest {other.digest[:12]}\); fit"
    with pytest.raises(AssetError, match=message):
        require_head("a.h5", head_attributes(asset), other, "fit it again")
    # Without a digest the name decides.
    require_head("a.h5", {"head_name": "small"}, other, "")
    require_head("a.h5", {}, other, "")
    with pytest.raises(AssetError, match=r"'open' .digest not recorded"):
        require_head("a.h5", {"head_name": "open"}, other, "")
