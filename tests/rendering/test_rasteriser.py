"""The rasteriser of the overlay agrees with VTK; discs have the area of their radius."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from occlufacediff.rendering.discs import draw_discs
from occlufacediff.rendering.rasteriser import Rasteriser
from occlufacediff.rendering.vtk_renderer import VtkRenderer

SIZE = 48


def bumpy_grid(seed: int, cells: int = 14) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points, faces and colours of a folded grid that covers itself in parts."""
    random = np.random.default_rng(seed)
    along = np.linspace(6, SIZE + 4, cells)
    xy = np.stack(np.meshgrid(along, along), -1).reshape(-1, 2) + random.normal(0, 3, (cells**2, 2))
    points = np.column_stack([xy, random.uniform(-20, 20, len(xy))]).astype(np.float32)
    at = np.arange(cells**2).reshape(cells, cells)
    a, b, c, d = (part.ravel() for part in (at[:-1, :-1], at[1:, :-1], at[:-1, 1:], at[1:, 1:]))
    faces = np.concatenate([np.stack([a, b, c], 1), np.stack([d, c, b], 1)])
    return points, faces, random.integers(0, 256, (len(points), 3)).astype(np.uint8)


@pytest.mark.parametrize("seed", range(5))
def test_it_draws_what_vtk_draws(seed: int) -> None:
    points, faces, colours = bumpy_grid(seed)
    ours = Rasteriser(SIZE, SIZE, faces).layers(points, colours)
    vtk = VtkRenderer(SIZE, SIZE, faces).rgba(points, colours)
    differing = np.abs(ours.astype(int) - vtk).max(axis=2) > 2
    assert 0 < (vtk[..., 3] == 0).sum() < 0.3 * SIZE**2
    # Where surfaces cross within a pixel, rounding decides which one is in front.
    assert differing.mean() < 0.005
    assert (ours[..., 3] == vtk[..., 3]).mean() > 0.999


@settings(deadline=None, max_examples=50)
@given(arrays(np.float64, (2, 2), elements=st.floats(0, 30, width=32)))
def test_neighbouring_triangles_share_every_pixel_once(middle: np.ndarray) -> None:
    """Around any inner edge, each pixel of a square belongs to exactly one triangle."""
    corners = np.array([[0, 0], [30, 0], [0, 30], [30, 30]])
    points = np.column_stack([np.concatenate([corners, middle[:1]]), np.zeros(5)]).astype(np.float32)
    fan = np.array([[0, 1, 4], [1, 3, 4], [3, 2, 4], [2, 0, 4]])
    covered = sum(
        (Rasteriser(30, 30, face[None]).layers(points, points[:, :3].astype(np.uint8))[..., 3] > 0).astype(int)
        for face in fan
    )
    assert (covered == 1).all()


def test_more_channels_and_flat_values() -> None:
    points, faces, colours = bumpy_grid(1)
    values = np.concatenate([colours, np.full((len(points), 1), 77, np.uint8)], axis=1)
    renderer = Rasteriser(SIZE, SIZE, faces)
    layers, image = renderer.layers(points, values), renderer.layers(points, colours)
    assert np.array_equal(layers[..., [0, 1, 2, 4]], image)
    assert set(np.unique(layers[..., 3])) == {0, 77}
    flat = renderer.layers(points, np.tile(np.array([[9, 8, 7]], np.uint8), (len(faces), 1)))
    assert {tuple(one) for one in flat.reshape(-1, 4)} == {(9, 8, 7, 255), (0, 0, 0, 0)}


def test_points_far_outside_and_wrong_shapes() -> None:
    renderer = Rasteriser(20, 20, np.array([[0, 1, 2]]))
    red = np.tile(np.array([[200, 10, 20]], np.uint8), (3, 1))
    far = np.array([[-1e9, -1e9, 0], [1e9, -1e9, 0], [0, 1e9, 0]], np.float32)
    assert (renderer.layers(far, red) == (200, 10, 20, 255)).all()
    assert not renderer.layers(far[:, [1, 1, 2]], red).any()
    with pytest.raises(ValueError, match=r"points: got shape \(2, 3\), needs \(3, 3\)"):
        renderer.layers(far[:2], red)
    with pytest.raises(ValueError, match="values: got shape"):
        renderer.layers(far, red[:2])
    with pytest.raises(ValueError, match="faces"):
        Rasteriser(20, 20, np.zeros((0, 3), int))
    with pytest.raises(ValueError, match="width, height: got 0 x 20"):
        Rasteriser(0, 20, np.array([[0, 1, 2]]))


@pytest.mark.parametrize("radius", [1.5, 4.0])
def test_discs_have_the_area_of_their_radius(radius: float) -> None:
    image = np.zeros((40, 40, 3), np.uint8)
    draw_discs(image, np.array([[19.3, 20.6]]), radius, (0, 0, 255))
    share = image[..., 2] / 255
    assert share.sum() == pytest.approx(np.pi * radius**2, rel=0.05)
    rows, columns = np.mgrid[:40, :40]
    np.testing.assert_allclose([(share * one).sum() / share.sum() for one in (columns, rows)], [19.3, 20.6], atol=0.02)
    assert not image[..., :2].any()


def test_discs_at_the_edge_and_outside() -> None:
    image = np.zeros((10, 12, 3), np.uint8)
    draw_discs(image, np.array([[0.0, 0.0], [11.0, 9.0], [-50.0, 4.0], [4.0, 900.0]]), 2.0, (255, 255, 255))
    assert image[0, 0].all() and image[9, 11].all()
    assert not image[:, 4:8].any()
