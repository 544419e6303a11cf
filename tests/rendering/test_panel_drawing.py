"""Panels of the animation: geometry, smoothness of views, drawing, and sizes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_head import small_head

from occlufacediff.errors import ConfigError
from occlufacediff.head.skinning import project_numpy, vertices_numpy
from occlufacediff.rendering import panel_drawing
from occlufacediff.rendering.overlay import MeshOverlay


def test_crop_coordinates_are_transformed_to_the_golden_source_pixels(goldens) -> None:
    with np.load(goldens / "crop.npz", allow_pickle=False) as data:
        for case in ("inside", "border", "small", "large"):
            landmarks, form = data[f"{case}_landmarks"], data[f"{case}_tform"]
            zoom = form[0, 0]
            box = np.array([-form[0, 2] / zoom, -form[1, 2] / zoom, 223 / zoom])
            source = panel_drawing.crop_to_panel(data[f"{case}_lmk_norm"], box, np.array([0.0, 0.0, 1.0]), panel=1)
            np.testing.assert_allclose(source, landmarks[:, :2], atol=2e-3 * max(1.0, box[2] / 224))


@settings(max_examples=30, deadline=None)
@given(x=st.floats(-50, 400), y=st.floats(-50, 400), size=st.floats(20, 900), panel=st.sampled_from([64, 200, 360]))
def test_points_are_transformed_to_the_panel(x: float, y: float, size: float, panel: int) -> None:
    view = np.array([x, y, size], dtype=np.float32)
    point = np.array([x + 0.4 * size, y + 0.7 * size], dtype=np.float32)
    np.testing.assert_allclose(panel_drawing.source_to_panel(point, view, panel), [0.4 * panel, 0.7 * panel], atol=0.05)


def test_the_image_and_the_points_agree() -> None:
    frame = np.zeros((300, 400, 3), dtype=np.uint8)
    frame[140:161, 240:261] = 255
    for panel, size in ((256, 200.0), (100, 240.0)):
        view = np.array([150.0, 60.0, size])
        image = panel_drawing.view_image(frame, view, panel).astype(float).mean(axis=2)
        bright = image > 128
        centre = np.argwhere(bright).mean(axis=0)[::-1]
        np.testing.assert_allclose(
            centre, panel_drawing.source_to_panel(np.array([250.0, 150.0]), view, panel), atol=0.6
        )


def test_masks_and_occluders_are_warped_to_the_panel() -> None:
    mask = np.zeros((224, 224), dtype=bool)
    mask[100:121, 60:81] = True
    box, view = np.array([30.0, 40.0, 150.0]), np.array([20.0, 30.0, 180.0])
    opacity = panel_drawing.mask_to_panel(mask, box, view, 256)
    image = np.zeros((224, 224, 4), dtype=np.uint8)
    image[..., 1] = 200  # transparent green must not bleed into the edge
    image[mask] = (255, 0, 0, 255)
    moved = panel_drawing.occluder_to_panel(image, box, view, 256)
    inside = moved[..., 3] > 8
    assert np.abs(moved[inside][:, :3].astype(int) - (255, 0, 0)).max() <= 2
    assert (moved[..., 3][opacity > 0.99] == 255).all()
    assert not moved[..., 3][opacity < 0.01].any()
    centre = np.argwhere(opacity > 0.5).mean(axis=0)[::-1]
    expected = panel_drawing.crop_to_panel(np.array([[70 / 112 - 1, 110 / 112 - 1]]), box, view, 256)
    np.testing.assert_allclose(centre, expected[0], atol=0.6)
    image = np.full((256, 256, 3), 250, dtype=np.uint8)
    hatched = panel_drawing.draw_hatching(image, opacity)
    assert (hatched[opacity < 0.001] == 250).all()
    assert (hatched[opacity > 0.999] <= 130).all()


def test_views_are_smooth_and_stay_on_the_face() -> None:
    rng = np.random.default_rng(3)
    boxes = np.stack([100 + np.linspace(0, 30, 100), np.full(100, 60.0), np.full(100, 200.0)], axis=1)
    noisy = boxes + rng.normal(0, 2, boxes.shape)
    views = panel_drawing.smooth_views(noisy, 1.2, 10.0)
    assert np.abs(np.diff(views[:, 2])).max() < 0.2
    assert np.abs(np.diff(views, 2, axis=0)).max() < 0.2
    centre = views[:, :2] + views[:, 2:] / 2
    assert np.abs(centre - boxes[:, :2] - 100)[20:-20].max() < 2.0
    np.testing.assert_allclose(views[:, 2].mean(), 240, atol=2)
    still = panel_drawing.smooth_views(boxes, 1.0, 0.0)
    np.testing.assert_allclose(still, boxes, rtol=1e-5)


def test_visible_points_are_green_and_occluded_points_red() -> None:
    points = np.array([[20.0, 20.0], [80.0, 80.0], [20.0, 80.0]], dtype=np.float32)
    edges = np.array([[0, 1], [1, 2]])
    image = panel_drawing.landmark_image(points, np.array([True, False, True]), edges, edges[:0], 100)
    assert tuple(image[20, 20]) == panel_drawing.VISIBLE_COLOUR
    assert tuple(image[80, 80]) == panel_drawing.OCCLUDED_COLOUR
    none = panel_drawing.landmark_image(points, np.zeros(3, dtype=bool), edges, edges, 100)
    assert tuple(none[20, 20]) == panel_drawing.OCCLUDED_COLOUR


def test_panels_side_by_side_have_even_sizes() -> None:
    panels = [np.full((64, 64, 3), value, dtype=np.uint8) for value in (10, 90, 200)]
    image = panel_drawing.side_by_side(panels, ("one", "two", "three"))
    assert image.shape[1::-1] == panel_drawing.panels_size(3, 64)
    assert image.shape[0] % 2 == 0
    assert image.shape[1] % 2 == 0
    assert (image[panel_drawing.TITLE_HEIGHT :, -64:] == 200).all()


def test_predicted_vertices_have_a_warm_tone() -> None:
    mask = np.zeros((224, 224), dtype=bool)
    mask[112:] = True
    base = np.tile(np.array(panel_drawing.MESH_COLOUR, np.uint8), (3, 1))
    points = np.array([[0.0, -0.8], [0.0, 0.8], [5.0, 9.0]], dtype=np.float32)
    colours = panel_drawing.mesh_colours(points, base, mask)
    assert tuple(colours[0]) == panel_drawing.MESH_COLOUR
    assert tuple(colours[1]) == panel_drawing.PREDICTED_COLOUR
    assert (panel_drawing.mesh_colours(points, base, None) == base).all()


def test_an_rgba_image_is_drawn_by_its_alpha() -> None:
    under = np.zeros((8, 8, 3), dtype=np.uint8)
    over = np.full((8, 8, 4), 200, dtype=np.uint8)
    over[..., 3] = 0
    over[:4, :, 3] = 255
    result = panel_drawing.draw_rgba(under, over)
    assert (result[:4] == 200).all()
    assert (result[4:] == 0).all()


@pytest.mark.parametrize("panel", [64, 360])
def test_titles_are_drawn(panel: int) -> None:
    strip = panel_drawing.side_by_side([np.zeros((panel, panel, 3), np.uint8)] * 2, ("input", "landmarks"))
    assert strip[: panel_drawing.TITLE_HEIGHT].max() > 150


def test_the_mesh_is_drawn_at_its_landmarks() -> None:
    head = small_head()
    vertices = vertices_numpy(head, np.zeros(4), np.zeros((1, 6)), np.zeros((1, 3)), np.zeros((1, 3)))
    cam, box = np.array([7.0, 0.01, -0.02], np.float32), np.array([30.0, 50.0, 200.0], np.float32)
    view = np.array([10.0, 30.0, 260.0], np.float32)
    mesh = MeshOverlay(head, 200)
    image = mesh.draw(vertices[0], cam, box, view, (0, 0, 0))
    points = project_numpy(vertices, cam[None])[0]
    on_panel = panel_drawing.crop_to_panel(points, box, view, 200)
    rows, columns = np.nonzero(image.any(axis=2))
    np.testing.assert_allclose([columns.min(), rows.min()], on_panel.min(axis=0), atol=1.5)
    np.testing.assert_allclose([columns.max(), rows.max()], on_panel.max(axis=0), atol=1.5)
    under = np.full((200, 200, 3), 90, np.uint8)
    half = mesh.draw(vertices[0], cam, box, view, under, opacity=0.5)
    outside = ~image.any(axis=2)
    assert (half[outside] == 90).all()
    lips = MeshOverlay(head, 200, "lips").draw(vertices[0], cam, box, view, (0, 0, 0))
    assert 20 < lips.any(axis=2).sum() < 0.3 * image.any(axis=2).sum()
    with pytest.raises(ConfigError, match=r"mesh_region: got 'nose', the head model 'small' has head, face, lips"):
        MeshOverlay(head, 200, "nose")


@pytest.mark.parametrize(("confidence", "filled"), [(0.0, 0), (0.25, 30), (1.0, 120)])
def test_the_length_of_the_bar_shows_the_confidence(confidence: float, filled: int) -> None:
    image = np.full((120, 120, 3), 200, np.uint8)
    with_bar = panel_drawing.confidence_bar(image, confidence)
    assert (image == 200).all() and (with_bar[:-2] == 200).all()
    lit = with_bar[-1].astype(int).sum(axis=1) > 100
    assert lit.sum() == filled and lit[:filled].all()
    if filled:
        red, green, _ = with_bar[-1, 0].astype(int)
        assert (green > red) == (confidence > 0.5)
