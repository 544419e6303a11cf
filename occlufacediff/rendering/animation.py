"""Panels of the animation: a steady view of the face, the hidden region, the landmarks, titles.

Frames of reference: *source* pixels of the video; *crop* pixels 0..223 of a frame's crop box ``(x0, y0, size)`` with
``crop = (source - corner) * 223 / size``; crop coordinates in [-1, 1] with ``v = crop / 224 * 2 - 1``; *panel* pixels
of a view square ``(x0, y0, size)`` in source pixels. All y point down.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import gaussian_filter1d

from occlufacediff.landmarks.normalise import CROP_PX, from_crop

TITLE_HEIGHT = 28
GAP = 4
INK = (17, 20, 26)
PAPER = (226, 230, 236)
SHADE = (118, 122, 130)
SEEN = (98, 224, 140)
UNSEEN = (255, 92, 84)
MESH_COLOUR = (176, 196, 222)
GUESSED_COLOUR = (245, 170, 110)

Picture = NDArray[np.uint8]
Floats = NDArray[np.float32]


def steady_views(boxes: NDArray[np.floating], scale: float, sigma_frames: float) -> Floats:
    """Give view squares that follow crop boxes without trembling.

    Args:
        boxes: (T, 3) crop boxes ``(x0, y0, size)``, source pixels, finite.
        scale: edge of the view in crop edges.
        sigma_frames: standard deviation of the smoothing, frames; 0 for none.

    Returns:
        (T, 3) float32 squares ``(x0, y0, size)`` about the same centres, source pixels.
    """
    boxes = np.asarray(boxes, dtype=np.float64)
    centre, size = boxes[:, :2] + boxes[:, 2:] / 2, boxes[:, 2:]
    # The size is held nearly still: a breathing zoom is seen sooner than a pan.
    if sigma_frames > 0:
        centre = gaussian_filter1d(centre, sigma_frames, axis=0, mode="nearest")
        size = gaussian_filter1d(size, 4 * sigma_frames, axis=0, mode="nearest")
    size = size * scale
    return np.concatenate([centre - size / 2, size], axis=1).astype(np.float32)


def crop_to_source(points: NDArray[np.floating], box: NDArray[np.floating]) -> Floats:
    """Points (..., N, 2) from crop coordinates in [-1, 1] to source pixels, by the box ``(x0, y0, size)``."""
    return from_crop(points, box).astype(np.float32)


def source_to_panel(points: NDArray[np.floating], view: NDArray[np.floating], panel: int) -> Floats:
    """Points (..., 2) from source pixels to pixels of a panel of edge ``panel`` that shows the square ``view``."""
    return ((np.asarray(points, dtype=np.float32) - view[:2]) * (panel / view[2])).astype(np.float32)


def crop_to_panel(
    points: NDArray[np.floating], box: NDArray[np.floating], view: NDArray[np.floating], panel: int
) -> Floats:
    """Points (..., N, 2) from crop coordinates in [-1, 1] to panel pixels."""
    return source_to_panel(crop_to_source(points, box), view, panel)


def view_picture(frame: Picture, view: NDArray[np.floating], panel: int) -> Picture:
    """Show the square ``view`` (source pixels) of an RGB picture (H, W, 3) as (panel, panel, 3); dark outside."""
    fine = 2 if view[2] > 1.5 * panel else 1  # shrinking needs an average over source pixels
    edge = panel * fine
    matrix = np.array([[1, 0, -view[0]], [0, 1, -view[1]]], dtype=np.float64) * (edge / float(view[2]))
    kind = cv2.INTER_LINEAR if fine == 2 else cv2.INTER_CUBIC
    picture = cv2.warpAffine(frame, matrix, (edge, edge), flags=kind, borderValue=INK)
    if fine == 2:
        picture = cv2.resize(picture, (panel, panel), interpolation=cv2.INTER_AREA)
    return np.asarray(picture, dtype=np.uint8)


def hidden_on_panel(
    hidden: NDArray[np.bool_], box: NDArray[np.floating], view: NDArray[np.floating], panel: int
) -> Floats:
    """Carry a mask picture of the crop (224, 224), True = hidden, to a panel: opacity (panel, panel) in [0, 1]."""
    matrix = _crop_to_panel_matrix(box, view, panel)
    opacity = cv2.warpAffine(hidden.astype(np.float32), matrix, (panel, panel), flags=cv2.INTER_LINEAR)
    return np.clip(cv2.GaussianBlur(opacity, (0, 0), 1.0), 0.0, 1.0)


def crop_on_panel(occluder: Picture, box: NDArray[np.floating], view: NDArray[np.floating], panel: int) -> Picture:
    """Carry an RGBA picture of the crop (224, 224, 4) to a panel: (panel, panel, 4), transparent outside the crop."""
    # Colours weighted by alpha: what is transparent must not bleed into the edge.
    alpha = occluder[..., 3:].astype(np.float32) / 255
    weighted = np.concatenate([occluder[..., :3] * alpha, alpha * 255], axis=-1)
    moved = cv2.warpAffine(weighted, _crop_to_panel_matrix(box, view, panel), (panel, panel), flags=cv2.INTER_LINEAR)
    colour = moved[..., :3] * 255 / np.maximum(moved[..., 3:], 1)
    return np.rint(np.clip(np.concatenate([colour, moved[..., 3:]], axis=-1), 0, 255)).astype(np.uint8)


def _crop_to_panel_matrix(box: NDArray[np.floating], view: NDArray[np.floating], panel: int) -> NDArray[np.float64]:
    """Affine map (2, 3) from crop pixels to panel pixels."""
    zoom = panel / float(view[2])
    scale = float(box[2]) / (CROP_PX - 1) * zoom
    return np.array([[scale, 0, (box[0] - view[0]) * zoom], [0, scale, (box[1] - view[1]) * zoom]], dtype=np.float64)


@lru_cache(maxsize=4)
def _hatching(panel: int) -> Picture:
    """Grey with faint diagonal lines: reads as 'nothing is known here', unlike a grey object in the picture."""
    rows, columns = np.mgrid[:panel, :panel]
    stripe = ((rows + columns) // max(2, panel // 60)) % 4 == 0
    picture = np.empty((panel, panel, 3), dtype=np.uint8)
    picture[:] = SHADE
    picture[stripe] = tuple(value - 12 for value in SHADE)
    return picture


def hide(picture: Picture, opacity: Floats) -> Picture:
    """Cover a panel picture (P, P, 3) with grey hatching where ``opacity`` (P, P) is 1."""
    return _mix(picture, _hatching(picture.shape[0]), opacity)


def paste(picture: Picture, occluder: Picture, opacity: Floats | None = None) -> Picture:
    """Lay an RGBA picture (P, P, 4) over a panel picture (P, P, 3), its alpha times ``opacity`` (P, P)."""
    weight = occluder[..., 3].astype(np.float32) / 255
    return _mix(picture, np.ascontiguousarray(occluder[..., :3]), weight if opacity is None else weight * opacity)


def _mix(below: Picture, above: Picture, weight: Floats) -> Picture:
    """``below * (1 - weight) + above * weight`` of RGB pictures (P, P, 3), weight (P, P) in [0, 1]."""
    return np.asarray(cv2.blendLinear(below, above, 1 - weight, weight), dtype=np.uint8)


def landmark_picture(
    points: NDArray[np.floating],
    visible: NDArray[np.bool_],
    edges: NDArray[np.integer],
    outlines: NDArray[np.integer],
    panel: int,
) -> Picture:
    """Draw face mesh points on dark ground: seen ones green, hidden ones red.

    Args:
        points: (468, 2) panel pixels.
        visible: (468,) True where the point is given to the network.
        edges: (N, 2) index pairs of the faint net.
        outlines: (M, 2) index pairs of lips, eyes, brows and face oval, drawn stronger.
        panel: edge of the picture, pixels.
    """
    picture = _ground(panel, panel).copy()
    fixed = np.rint(points * 16).astype(np.int32)  # 4 fractional bits: lines move smoothly
    for pairs, seen_colour, unseen_colour in (
        (edges, (44, 62, 58), (66, 44, 46)),
        (outlines, (70, 140, 98), (150, 66, 62)),
    ):
        seen = visible[pairs].all(axis=1)
        for choice, colour in ((~seen, unseen_colour), (seen, seen_colour)):
            if choice.any():
                cv2.polylines(picture, list(fixed[pairs[choice]]), False, colour, 1, cv2.LINE_AA, 4)
    radius = max(16, round(panel / 300 * 16))
    for choice, colour in ((~visible, UNSEEN), (visible, SEEN)):
        for x, y in fixed[choice]:
            cv2.circle(picture, (int(x), int(y)), radius, colour, -1, cv2.LINE_AA, 4)
    return picture


def confidence_bar(picture: Picture, confidence: float) -> Picture:
    """Lay a bar over the lower edge of a panel picture (P, P, 3): full and green at confidence 1, empty at 0."""
    panel = picture.shape[0]
    barred, height, width = picture.copy(), max(2, panel // 60), round(panel * confidence)
    barred[-height:] = INK
    colour = np.array(UNSEEN) * (1 - confidence) + np.array(SEEN) * confidence
    barred[-height:, :width] = np.rint(colour).astype(np.uint8)
    return barred


@lru_cache(maxsize=4)
def _ground(height: int, width: int) -> Picture:
    """An empty dark picture (H, W, 3), to be copied: filling one with a colour takes longer."""
    picture = np.empty((height, width, 3), dtype=np.uint8)
    picture[:] = INK
    return picture


@lru_cache(maxsize=32)
def _title_strip(titles: tuple[str, ...], panel: int) -> Picture:
    """A strip with one centred small title a panel."""
    width = len(titles) * panel + (len(titles) - 1) * GAP
    strip = Image.new("RGB", (width, TITLE_HEIGHT), INK)
    draw = ImageDraw.Draw(strip)
    font = ImageFont.load_default(size=14)
    for number, title in enumerate(titles):
        middle = number * (panel + GAP) + panel / 2
        draw.text((middle, TITLE_HEIGHT / 2), title, font=font, fill=PAPER, anchor="mm")
    return np.asarray(strip)


def side_by_side(panels: list[Picture], titles: tuple[str, ...]) -> Picture:
    """Set square panels (P, P, 3) in a row below their titles; even width and height, as video encoders need."""
    panel = panels[0].shape[0]
    width = len(panels) * panel + (len(panels) - 1) * GAP
    picture = _ground(TITLE_HEIGHT + panel, width).copy()
    picture[:TITLE_HEIGHT] = _title_strip(titles, panel)
    for number, content in enumerate(panels):
        left = number * (panel + GAP)
        picture[TITLE_HEIGHT:, left : left + panel] = content
    return picture


def size_of(panels: int, panel: int) -> tuple[int, int]:
    """Width and height of :func:`side_by_side` for a number of panels of edge ``panel``."""
    return panels * panel + (panels - 1) * GAP, TITLE_HEIGHT + panel


def mesh_colours(points: Floats, base: Picture, hidden: NDArray[np.bool_] | None) -> Picture:
    """Colour of each vertex: its own where the picture was seen, turned warm where the mesh is guessed.

    Args:
        points: (V, 2) vertices in crop coordinates.
        base: (V, 3) uint8 own colours.
        hidden: (224, 224) True = hidden, or None when nothing is.

    Returns:
        (V, 3) uint8 RGB.
    """
    if hidden is None or not hidden.any():
        return base
    soft = cv2.GaussianBlur(hidden.astype(np.float32), (0, 0), 3.0)
    pixel = np.clip(np.rint((points + 1) * (CROP_PX / 2)), 0, CROP_PX - 1).astype(int)
    weight = soft[pixel[:, 1], pixel[:, 0]][:, None]
    # A change of colour, not a colour: teeth and the inside of the mouth stay what they are.
    warm = base * (np.array(GUESSED_COLOUR, dtype=np.float32) / np.array(MESH_COLOUR, dtype=np.float32))
    return np.rint(np.clip(base * (1 - weight) + warm * weight, 0, 255)).astype(np.uint8)
