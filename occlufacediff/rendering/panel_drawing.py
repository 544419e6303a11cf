"""Draws the panels of the animation: the view of the face, the occluded region, the landmarks, and titles.

Coordinates: *source* pixels of the video; *crop* pixels 0..223 of a frame's crop box ``(x0, y0, size)`` with
``crop = (source - corner) * 223 / size``; crop coordinates in [-1, 1] with ``v = crop / 224 * 2 - 1``; *panel* pixels
of a view, which is a square ``(x0, y0, size)`` in source pixels. All y axes point down.
"""

from __future__ import annotations

import math
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont
from scipy.ndimage import gaussian_filter1d

from occlufacediff.landmarks.normalise import CROP_PX, from_crop
from occlufacediff.rendering.discs import draw_discs

TITLE_HEIGHT = 28
GAP = 4
BACKGROUND = (17, 20, 26)
TEXT_COLOUR = (226, 230, 236)
HATCH_COLOUR = (118, 122, 130)
VISIBLE_COLOUR = (98, 224, 140)
OCCLUDED_COLOUR = (255, 92, 84)
MESH_COLOUR = (176, 196, 222)
PREDICTED_COLOUR = (245, 170, 110)

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]


def smooth_views(boxes: NDArray[np.floating], scale: float, sigma_frames: float) -> Floats:
    """Compute views that follow the crop boxes smoothly.

    Args:
        boxes: (T, 3) crop boxes ``(x0, y0, size)``, source pixels, finite.
        scale: edge of the view relative to that of the crop.
        sigma_frames: standard deviation of the Gaussian smoothing, frames; 0 for none.

    Returns:
        (T, 3) float32 squares ``(x0, y0, size)`` with the same centres, source pixels.
    """
    boxes = np.asarray(boxes, dtype=np.float64)
    centre, size = boxes[:, :2] + boxes[:, 2:] / 2, boxes[:, 2:]
    # The size is smoothed more than the centre, because changes of zoom are more noticeable than those of position.
    if sigma_frames > 0:
        centre = gaussian_filter1d(centre, sigma_frames, axis=0, mode="nearest")
        size = gaussian_filter1d(size, 4 * sigma_frames, axis=0, mode="nearest")
    size = size * scale
    return np.concatenate([centre - size / 2, size], axis=1).astype(np.float32)


def source_to_panel(points: NDArray[np.floating], view: NDArray[np.floating], panel: int) -> Floats:
    """Transform points (..., 2) from source pixels to pixels of a panel of edge ``panel`` that shows ``view``."""
    return ((np.asarray(points, dtype=np.float32) - view[:2]) * (panel / view[2])).astype(np.float32)


def crop_to_panel(
    points: NDArray[np.floating], box: NDArray[np.floating], view: NDArray[np.floating], panel: int
) -> Floats:
    """Transform points (..., N, 2) from crop coordinates in [-1, 1] to panel pixels."""
    return source_to_panel(from_crop(points, box), view, panel)


def view_image(frame: Image, view: NDArray[np.floating], panel: int) -> Image:
    """Cut the square ``view`` (source pixels) out of an RGB image (H, W, 3): (panel, panel, 3), dark outside.

    Bicubic; a reduced picture averages over source pixels.
    """
    image = _background(panel, panel).copy()
    step = float(view[2]) / panel
    left, right, x0, x1 = _span(float(view[0]), step, panel, frame.shape[1])
    top, bottom, y0, y1 = _span(float(view[1]), step, panel, frame.shape[0])
    if left < right and top < bottom:
        # The part of the image that bicubic resampling reads; converting all of a large image takes long.
        margin = math.ceil(2 * max(1.0, step)) + 1
        x, y = max(0, int(x0) - margin), max(0, int(y0) - margin)
        source = PillowImage.fromarray(frame[y : int(y1) + margin, x : int(x1) + margin])
        bicubic, box = PillowImage.Resampling.BICUBIC, (x0 - x, y0 - y, x1 - x, y1 - y)
        image[top:bottom, left:right] = source.resize((right - left, bottom - top), bicubic, box=box)
    return image


def _span(corner: float, step: float, panel: int, length: int) -> tuple[int, int, float, float]:
    """First and last (exclusive) pixel of a panel that an image covers, and the edges of this part in the image.

    Args:
        corner: where the middle of the panel's first pixel is in the image; 0 is the middle of the image's first pixel.
        step: image pixels per panel pixel.
        panel: edge of the panel.
        length: edge of the image.
    """
    start = corner + 0.5 - step / 2
    first = max(0, math.ceil(-start / step))
    last = min(panel, math.floor((length - start) / step))
    return first, last, max(start + first * step, 0.0), min(start + last * step, float(length))


def mask_to_panel(
    occluded: NDArray[np.bool_], box: NDArray[np.floating], view: NDArray[np.floating], panel: int
) -> Floats:
    """Warp a mask of the crop (224, 224), True = occluded, to a panel: opacity (panel, panel) in [0, 1]."""
    matrix = _crop_to_panel_matrix(box, view, panel)
    opacity = cv2.warpAffine(occluded.astype(np.uint8) * 255, matrix, (panel, panel), flags=cv2.INTER_LINEAR)
    return cv2.GaussianBlur(opacity, (0, 0), 1.0).astype(np.float32) / 255


def occluder_to_panel(occluder: Image, box: NDArray[np.floating], view: NDArray[np.floating], panel: int) -> Image:
    """Warp an RGBA image of the crop (224, 224, 4) to a panel: (panel, panel, 4), transparent outside the crop."""
    # Premultiplied alpha, so that colours of transparent pixels do not bleed into the edge.
    alpha = occluder[..., 3:].astype(np.float32) / 255
    weighted = np.concatenate([occluder[..., :3] * alpha, alpha * 255], axis=-1)
    moved = cv2.warpAffine(weighted, _crop_to_panel_matrix(box, view, panel), (panel, panel), flags=cv2.INTER_LINEAR)
    colour = moved[..., :3] * 255 / np.maximum(moved[..., 3:], 1)
    return np.rint(np.clip(np.concatenate([colour, moved[..., 3:]], axis=-1), 0, 255)).astype(np.uint8)


def _crop_to_panel_matrix(box: NDArray[np.floating], view: NDArray[np.floating], panel: int) -> NDArray[np.float64]:
    """Affine matrix (2, 3) from crop pixels to panel pixels."""
    zoom = panel / float(view[2])
    scale = float(box[2]) / (CROP_PX - 1) * zoom
    return np.array([[scale, 0, (box[0] - view[0]) * zoom], [0, scale, (box[1] - view[1]) * zoom]], dtype=np.float64)


@lru_cache(maxsize=4)
def _hatching(panel: int) -> Image:
    """Grey with faint diagonal lines, which distinguish it from grey objects in the video."""
    rows, columns = np.mgrid[:panel, :panel]
    stripe = ((rows + columns) // max(2, panel // 60)) % 4 == 0
    image = np.empty((panel, panel, 3), dtype=np.uint8)
    image[:] = HATCH_COLOUR
    image[stripe] = tuple(value - 12 for value in HATCH_COLOUR)
    return image


def draw_hatching(image: Image, opacity: Floats) -> Image:
    """Draw grey hatching on a panel (P, P, 3) with the given ``opacity`` (P, P), 0 to 1."""
    return _blend(image, _hatching(image.shape[0]), opacity)


def draw_rgba(image: Image, foreground: Image) -> Image:
    """Draw an RGBA image (P, P, 4) on a panel (P, P, 3)."""
    return _blend(image, np.ascontiguousarray(foreground[..., :3]), foreground[..., 3].astype(np.float32) / 255)


def _blend(below: Image, above: Image, weight: Floats) -> Image:
    """``below * (1 - weight) + above * weight`` for RGB images (P, P, 3), weight (P, P) in [0, 1]."""
    return np.asarray(cv2.blendLinear(below, above, 1 - weight, weight), dtype=np.uint8)


def landmark_image(
    points: NDArray[np.floating],
    visible: NDArray[np.bool_],
    edges: NDArray[np.integer],
    outlines: NDArray[np.integer],
    panel: int,
) -> Image:
    """Draw face mesh points on a dark background: visible points green, occluded points red.

    Args:
        points: (468, 2) panel pixels.
        visible: (468,) True where the point is an input of the network.
        edges: (N, 2) index pairs of the mesh edges, drawn faintly.
        outlines: (M, 2) index pairs of lips, eyes, brows and face oval, drawn clearly.
        panel: edge of the image, pixels.
    """
    image = _background(panel, panel).copy()
    fixed = np.rint(points * 16).astype(np.int32)  # fixed-point numbers with 4 fractional bits, for smooth motion
    for pairs, visible_colour, occluded_colour in (
        (edges, (44, 62, 58), (66, 44, 46)),
        (outlines, (70, 140, 98), (150, 66, 62)),
    ):
        both_visible = visible[pairs].all(axis=1)
        for selected, colour in ((~both_visible, occluded_colour), (both_visible, visible_colour)):
            if selected.any():
                cv2.polylines(image, list(fixed[pairs[selected]]), False, colour, 1, cv2.LINE_AA, 4)
    for selected, colour in ((~visible, OCCLUDED_COLOUR), (visible, VISIBLE_COLOUR)):
        draw_discs(image, points[selected], max(1.5, panel / 200), colour)
    return image


def confidence_bar(image: Image, confidence: float) -> Image:
    """Draw a bar at the lower edge of a panel (P, P, 3): full and green at confidence 1, empty at 0."""
    panel = image.shape[0]
    with_bar, height, width = image.copy(), max(2, panel // 60), round(panel * confidence)
    with_bar[-height:] = BACKGROUND
    colour = np.array(OCCLUDED_COLOUR) * (1 - confidence) + np.array(VISIBLE_COLOUR) * confidence
    with_bar[-height:, :width] = np.rint(colour).astype(np.uint8)
    return with_bar


@lru_cache(maxsize=4)
def _background(height: int, width: int) -> Image:
    """An empty dark image (H, W, 3); cached, because copying is faster than filling."""
    image = np.empty((height, width, 3), dtype=np.uint8)
    image[:] = BACKGROUND
    return image


@lru_cache(maxsize=32)
def _title_strip(titles: tuple[str, ...], panel: int) -> Image:
    """A strip with a small centred title for each panel."""
    width = len(titles) * panel + (len(titles) - 1) * GAP
    strip = PillowImage.new("RGB", (width, TITLE_HEIGHT), BACKGROUND)
    draw = ImageDraw.Draw(strip)
    font = ImageFont.load_default(size=14)
    for number, title in enumerate(titles):
        middle = number * (panel + GAP) + panel / 2
        draw.text((middle, TITLE_HEIGHT / 2), title, font=font, fill=TEXT_COLOUR, anchor="mm")
    return np.asarray(strip)


def side_by_side(panels: list[Image], titles: tuple[str, ...]) -> Image:
    """Arrange square panels (P, P, 3) in a row below their titles; width and height are even, as encoders need."""
    panel = panels[0].shape[0]
    width = len(panels) * panel + (len(panels) - 1) * GAP
    image = _background(TITLE_HEIGHT + panel, width).copy()
    image[:TITLE_HEIGHT] = _title_strip(titles, panel)
    for number, content in enumerate(panels):
        left = number * (panel + GAP)
        image[TITLE_HEIGHT:, left : left + panel] = content
    return image


def panels_size(panels: int, panel: int) -> tuple[int, int]:
    """Width and height of the image of `side_by_side`, for a number of panels of edge ``panel``."""
    return panels * panel + (panels - 1) * GAP, TITLE_HEIGHT + panel


def mesh_colours(points: Floats, base: Image, occluded: NDArray[np.bool_] | None) -> Image:
    """Vertex colours: the base colours, shifted to a warm tone where the face is occluded and the mesh predicted.

    Args:
        points: (V, 2) vertices in crop coordinates.
        base: (V, 3) uint8 base colours.
        occluded: (224, 224) True = occluded, or None if nothing is.

    Returns:
        (V, 3) uint8 RGB.
    """
    if occluded is None or not occluded.any():
        return base
    soft = cv2.GaussianBlur(occluded.astype(np.float32), (0, 0), 3.0)
    pixel = np.clip(np.rint((points + 1) * (CROP_PX / 2)), 0, CROP_PX - 1).astype(int)
    weight = soft[pixel[:, 1], pixel[:, 0]][:, None]
    # A relative change of colour, so that teeth and the inside of the mouth remain recognisable.
    warm = base * (np.array(PREDICTED_COLOUR, dtype=np.float32) / np.array(MESH_COLOUR, dtype=np.float32))
    return np.rint(np.clip(base * (1 - weight) + warm * weight, 0, 255)).astype(np.uint8)
