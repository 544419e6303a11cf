"""Renderers: positions, colours, shading; VTK and pytorch3d agree."""

from __future__ import annotations

import sys
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from occlufacediff.errors import AssetError
from occlufacediff.rendering.mesh import Light, SmoothNormals, alpha_over, shade, to_screen
from occlufacediff.rendering.vtk_renderer import VtkRenderer

SQUARE = np.array([[0, 2, 1], [1, 2, 3]])
RED = np.tile(np.array([[200, 10, 20]], dtype=np.uint8), (4, 1))


def square(x: float, y: float, side: float, depth: float = 0.0) -> np.ndarray:
    corners = np.array([[0, 0], [1, 0], [0, 1], [1, 1]], dtype=np.float32) * side + (x, y)
    return np.column_stack([corners, np.full(4, depth)]).astype(np.float32)


def sphere(size: int, n: int = 24) -> tuple[np.ndarray, np.ndarray]:
    """A sphere in the screen frame, 80 % of ``size`` in diameter: points, and triangles (outward anticlockwise)."""
    polar, around = np.meshgrid(np.linspace(0.02, np.pi - 0.02, n), np.linspace(0, 2 * np.pi, 2 * n), indexing="ij")
    ball = np.stack([np.sin(polar) * np.cos(around), np.cos(polar), -np.sin(polar) * np.sin(around)], -1).reshape(-1, 3)
    at = np.arange(n * 2 * n).reshape(n, 2 * n)
    a, b, c, d = (part.ravel() for part in (at[:-1, :-1], at[1:, :-1], at[:-1, 1:], at[1:, 1:]))
    return to_screen(ball, np.array([0.8, 0, 0]), size, size), np.concatenate(
        [np.stack([a, b, c], 1), np.stack([d, c, b], 1)]
    )


def test_pixels_are_at_the_positions_of_the_screen_frame() -> None:
    image = VtkRenderer(60, 40, SQUARE).rgba(square(10, 5, 20), RED)
    alpha = image[..., 3] > 0
    assert np.array_equal(np.nonzero(alpha.any(axis=0))[0][[0, -1]], [10, 29])
    assert np.array_equal(np.nonzero(alpha.any(axis=1))[0][[0, -1]], [5, 24])
    assert alpha.sum() == 400
    assert (image[alpha] == (200, 10, 20, 255)).all()
    assert (image[~alpha][:, 3] == 0).all()


def test_antialiased_edges_keep_the_colour_of_the_mesh() -> None:
    corners = np.array([[8, 3], [33, 12], [5, 30], [31, 36]], dtype=np.float32)
    points = np.column_stack([corners, np.zeros(4)]).astype(np.float32)
    image = VtkRenderer(40, 40, SQUARE, samples=4).rgba(points, RED)
    edge = (image[..., 3] > 0) & (image[..., 3] < 255)
    assert edge.sum() > 20
    assert np.abs(image[edge][:, :3].astype(int) - RED[0]).max() <= 2
    # On a background of its own colour, the mesh has no visible outline.
    assert np.abs(alpha_over(image, (200, 10, 20)).astype(int) - RED[0]).max() <= 2


def test_the_nearer_surface_occludes_the_farther_one() -> None:
    points = np.concatenate([square(5, 5, 20, depth=3), square(15, 15, 20, depth=-3)])
    faces = np.concatenate([SQUARE, SQUARE + 4])
    colours = np.array([[10, 0, 0], [20, 0, 0], [30, 0, 0], [40, 0, 0]], dtype=np.uint8)
    image = VtkRenderer(40, 40, faces).rgba(points, colours)
    assert set(np.unique(image[16:24, 16:24, 0])) <= {10, 20}
    assert set(np.unique(image[27:34, 27:34, 0])) <= {30, 40}
    assert image[0, 0, 3] == 0


def test_triangle_colours_and_points_outside_the_image() -> None:
    renderer = VtkRenderer(30, 30, SQUARE)
    flat = renderer.rgba(square(-500, -500, 2000), np.array([[9, 9, 9], [200, 200, 200]], dtype=np.uint8))
    assert set(map(tuple, flat.reshape(-1, 4))) <= {(9, 9, 9, 255), (200, 200, 200, 255)}
    assert not renderer.rgba(square(100, 100, 5), RED).any()


def test_two_renderers_of_different_size_are_independent() -> None:
    first, second = VtkRenderer(32, 24, SQUARE), VtkRenderer(64, 48, SQUARE)
    once = first.rgba(square(3, 3, 10), RED)
    second.rgba(square(20, 20, 10), RED)
    assert np.array_equal(first.rgba(square(3, 3, 10), RED), once)


@pytest.mark.parametrize(
    ("points", "colours"),
    [(square(0, 0, 5)[:3], RED), (square(0, 0, 5), RED[:3]), (square(0, 0, 5)[:, :2], RED)],
)
def test_wrong_shapes_raise(points: np.ndarray, colours: np.ndarray) -> None:
    with pytest.raises(ValueError, match="needs"):
        VtkRenderer(20, 20, SQUARE).rgba(points, colours)


def test_wrong_sizes_raise() -> None:
    with pytest.raises(ValueError, match="width, height: got 0 x 20"):
        VtkRenderer(0, 20, SQUARE)
    with pytest.raises(ValueError, match="faces"):
        VtkRenderer(20, 20, np.zeros((0, 3), dtype=int))


@given(
    st.tuples(st.floats(0.5, 20), st.floats(-0.2, 0.2), st.floats(-0.2, 0.2)),
    st.lists(st.tuples(*[st.floats(-0.3, 0.3)] * 3), min_size=1, max_size=8),
)
def test_the_screen_frame_agrees_with_crop_coordinates(cam: tuple, points: list) -> None:
    vertices = np.array(points)
    screen = to_screen(vertices, np.array(cam), 224, 224)
    s, tx, ty = cam
    crop = s * (vertices[:, :2] + [tx, ty]) * [1, -1]
    np.testing.assert_allclose(screen[:, :2] / 224 * 2 - 1, crop, atol=2e-5, rtol=1e-5)
    np.testing.assert_allclose(screen[:, 2], s * vertices[:, 2] * 112, atol=2e-3, rtol=1e-5)


def test_normals_of_a_sphere_point_outwards_and_the_lit_side_is_brighter() -> None:
    points, faces = sphere(100)
    vertices = (points - [50, 50, 0]) * [1, -1, 1] / 40
    normals = SmoothNormals(faces, len(points))(vertices)
    inner = np.abs(vertices[:, 1]) < 0.95
    assert (np.einsum("ij,ij->i", normals, vertices)[inner] > 0.98).all()
    lit = shade(np.full((len(points), 3), 100, np.uint8), normals, (Light((-1, 0, 0)),), ambient=0.1)
    assert lit[vertices[:, 0] < -0.8].mean() > lit[vertices[:, 0] > 0.8].mean() + 50


def test_alpha_over_blends_by_alpha() -> None:
    front = np.array([[[100, 0, 200, 0], [100, 0, 200, 255], [100, 0, 200, 51]]], dtype=np.uint8)
    assert alpha_over(front, (0, 200, 100)).tolist() == [[[0, 200, 100], [100, 0, 200], [20, 160, 120]]]


def test_a_light_without_direction_raises() -> None:
    with pytest.raises(ValueError, match="direction"):
        Light((0, 0, 0))


def test_a_new_renderer_gives_identical_bytes() -> None:
    points, faces = sphere(96)
    colours = np.random.default_rng(0).integers(0, 255, (len(points), 3)).astype(np.uint8)
    images = [VtkRenderer(96, 96, faces, samples=4).rgba(points, colours) for _ in range(2)]
    assert np.array_equal(*images)


def test_pytorch3d_draws_the_same_silhouette() -> None:
    from occlufacediff.rendering.pytorch3d_renderer import Pytorch3dRenderer

    points, faces = sphere(48, n=8)
    # Not square and off centre, to detect mirrored axes and a wrong aspect ratio.
    points = points + np.float32([5, -7, 0])
    colours = np.clip(points * [3, 3, 0] + [0, 0, 90], 0, 255).astype(np.uint8)
    theirs = Pytorch3dRenderer(64, 48, faces, device="cpu").rgba(points, colours)
    ours = VtkRenderer(64, 48, faces).rgba(points, colours)
    a, b = theirs[..., 3] > 0, ours[..., 3] > 0
    assert (a & b).sum() / (a | b).sum() > 0.99
    assert np.abs(theirs[a & b].astype(int) - ours[a & b])[:, :3].mean() < 3


def test_missing_pytorch3d_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    from occlufacediff.rendering.pytorch3d_renderer import Pytorch3dRenderer

    for name in [name for name in sys.modules if name.split(".")[0] == "pytorch3d"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pytorch3d", None)
    with pytest.raises(AssetError, match="pytorch3d is not installed"):
        Pytorch3dRenderer(8, 8, SQUARE, device="cpu")


def test_a_head_sized_mesh_renders_in_milliseconds() -> None:
    points, faces = sphere(512, n=48)
    renderer, colours = VtkRenderer(512, 512, faces), np.zeros((len(points), 3), np.uint8)
    renderer.rgba(points, colours)
    start = time.process_time()
    for _ in range(5):
        renderer.rgba(points, colours)
    # Ten times the usual time: exceeded only if the window or the arrays are not reused.
    assert (time.process_time() - start) / 5 < 0.1
