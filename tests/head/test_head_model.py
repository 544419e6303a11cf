"""The head model: parity numbers, agreement of torch and numpy, subsets of vertices."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.model import HeadModel
from occlufacediff.head.rotations import axis_angle_to_matrix
from occlufacediff.head.skinning import landmarks_numpy, project_numpy, vertices_numpy


def golden_asset() -> HeadAsset:
    """The FLAME-sized asset of the parity numbers, filled by the rule in their README."""

    def draw(key: str) -> np.random.RandomState:
        return np.random.RandomState(zlib.crc32(f"flame:{key}".encode()) & 0xFFFFFFFF)

    def rows(key: str, shape: tuple[int, int], power: int = 1) -> np.ndarray:
        values = np.abs(draw(key).standard_normal(shape)) ** power
        return values / values.sum(1, keepdims=True)

    basis = 0.003 * draw("shapedirs").standard_normal((5023, 3, 400))
    return HeadAsset(
        name="golden",
        v_template=0.1 * draw("v_template").standard_normal((5023, 3)),
        faces=draw("f").randint(0, 5023, (9976, 3)),
        shapedirs=basis[..., :300],
        expdirs=basis[..., 300:],
        posedirs=0.001 * draw("posedirs").standard_normal((5023, 3, 36)),
        J_regressor=rows("J_regressor", (5, 5023)),
        weights=rows("weights", (5023, 5), power=3),
        parents=np.array([-1, 0, 1, 1, 1]),
        lmk_face_idx=draw("lmk_face_idx").randint(0, 9976, (105,)),
        lmk_b_coords=rows("lmk_b_coords", (105, 3)),
        landmark_indices=np.arange(105),
        expression_names=tuple(f"exp_{i:03d}" for i in range(100)),
    )


@pytest.fixture(scope="module")
def asset() -> HeadAsset:
    return golden_asset()


@pytest.fixture(scope="module")
def numbers(goldens: Path) -> dict[str, np.ndarray]:
    with np.load(goldens / "flame.npz", allow_pickle=False) as file:
        return {key: file[key] for key in file.files}


def test_the_filled_asset_matches_the_probes(asset: HeadAsset, numbers: dict[str, np.ndarray]) -> None:
    np.testing.assert_allclose(asset.v_template[0], numbers["probe_v_template"][0], atol=1e-7)
    np.testing.assert_array_equal(asset.faces[: len(numbers["probe_f"])], numbers["probe_f"])


def test_parity(asset: HeadAsset, numbers: dict[str, np.ndarray]) -> None:
    head = HeadModel(asset)
    given = {key: torch.from_numpy(numbers[key]) for key in ("shape", "exp", "pose6", "pose9", "eye6", "cam")}
    shape, exp, pose6, pose9 = (given[key] for key in ("shape", "exp", "pose6", "pose9"))
    vertices = head.vertices(shape, exp, pose6[:, :3], pose6[:, 3:])
    landmarks = head.landmarks(vertices)
    np.testing.assert_allclose(vertices.numpy(), numbers["vertices"], atol=1e-5)
    np.testing.assert_allclose(landmarks.numpy(), numbers["lmk3d"], atol=1e-5)
    np.testing.assert_allclose(head.project(landmarks, given["cam"]).numpy(), numbers["lmk2d_yflip"], atol=1e-5)
    with_neck = head.vertices(shape, exp, pose9[:, :3], pose9[:, 6:], neck=pose9[:, 3:6], eyes=given["eye6"])
    np.testing.assert_allclose(with_neck[:, ::10].numpy(), numbers["vertices_pose9"], atol=1e-5)
    np.testing.assert_allclose(head.landmarks(with_neck).numpy(), numbers["lmk3d_pose9"], atol=1e-5)


def test_numpy_equals_torch(asset: HeadAsset, numbers: dict[str, np.ndarray]) -> None:
    rng = np.random.default_rng(0)
    shape, exp = rng.normal(size=300), rng.normal(size=(40, 100))
    pose, jaw = rng.normal(size=(40, 3)), 0.3 * rng.normal(size=(40, 3))
    cam = np.tile(numbers["cam"][1], (40, 1))
    head = HeadModel(asset)
    expected = head.vertices(*(torch.as_tensor(value, dtype=torch.float32) for value in (shape[None], exp, pose, jaw)))
    vertices = vertices_numpy(asset, shape, exp, pose, jaw)
    np.testing.assert_allclose(vertices, expected.numpy(), atol=2e-6)
    points = landmarks_numpy(asset, vertices)
    np.testing.assert_allclose(points, head.landmarks(expected).numpy(), atol=2e-6)
    flat = head.project(head.landmarks(expected), torch.as_tensor(cam))
    np.testing.assert_allclose(project_numpy(points, cam), flat.numpy(), atol=1e-5)


def test_subset_gives_the_same_vertices_and_landmarks(asset: HeadAsset, numbers: dict[str, np.ndarray]) -> None:
    head = HeadModel(asset)
    ids = np.r_[head.landmark_vertices[::-1], [5, 17]]
    part = head.subset(ids)
    arguments = [torch.from_numpy(numbers[key]) for key in ("shape", "exp")]
    arguments += [torch.from_numpy(numbers["pose6"][:, :3]), torch.from_numpy(numbers["pose6"][:, 3:])]
    whole = head.vertices(*arguments)
    np.testing.assert_allclose(part.vertices(*arguments).numpy(), whole[:, ids].numpy(), atol=1e-6)
    np.testing.assert_allclose(part.landmarks(part(*arguments)).numpy(), head.landmarks(whole).numpy(), atol=1e-6)
    with pytest.raises(ValueError, match="landmark_vertices"):
        head.subset([1, 2]).landmarks(whole)
    assert not head.state_dict()


def test_gradients_are_finite_at_zero_rotation(asset: HeadAsset) -> None:
    part = HeadModel(asset).subset(np.arange(50))
    given = [torch.zeros(2, n, requires_grad=True) for n in (300, 100, 3, 3)]
    part.vertices(*given).square().sum().backward()
    assert all(torch.isfinite(value.grad).all() for value in given if value.grad is not None)


def test_autocast_does_not_change_vertices(asset: HeadAsset) -> None:
    part = HeadModel(asset).subset(np.arange(50))
    given = [torch.randn(2, n) for n in (300, 100, 3, 3)]
    plain = part.vertices(*given)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(part.vertices(*given), plain)


def test_rotation_matrices_match_scipy() -> None:
    vectors = 0.5 * torch.randn(200, 3, generator=torch.Generator().manual_seed(0))
    vectors[0] = 0
    matrices = axis_angle_to_matrix(vectors)
    assert torch.allclose(matrices @ matrices.transpose(1, 2), torch.eye(3), atol=1e-5)
    np.testing.assert_allclose(Rotation.from_matrix(matrices.numpy()).as_rotvec(), vectors.numpy(), atol=1e-4)
