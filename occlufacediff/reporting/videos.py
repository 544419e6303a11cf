"""Result videos of report and benchmark: occluded input, truth, ours, and error heat map, on the 224 crop."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from occlufacediff.head.asset import HeadAsset
from occlufacediff.landmarks.normalise import CROP_PX
from occlufacediff.rendering import panel_drawing
from occlufacediff.rendering.overlay import MeshOverlay

TITLES = ("input", "truth", "ours", "distance")
#: Crop box and view of the whole crop: crop pixels 0 to 223 fill a panel.
CROP_BOX = np.array([0.0, 0.0, CROP_PX - 1], dtype=np.float32)
CROP_VIEW = np.array([0.0, 0.0, CROP_PX], dtype=np.float32)
BACKGROUND = (24, 28, 36)


@dataclass(frozen=True, eq=False)
class ResultClip:
    """Content of a result video of T frames.

    Attributes:
        crops: (T, 224, 224, 3) uint8 RGB.
        occluded: function from a frame number to its mask (224, 224), True where occluded.
        truth: (T, V, 3) true vertices, metres, head frame after the head's rotation.
        ours: (T, V, 3) predicted vertices.
        cam: (T, 3) ``[s, tx, ty]``.
    """

    crops: NDArray[np.uint8]
    occluded: Callable[[int], NDArray[np.bool_]]
    truth: NDArray[np.float32]
    ours: NDArray[np.float32]
    cam: NDArray[np.float32]


def heat_colours(millimetres: NDArray[np.floating], hottest: float) -> panel_drawing.Image:
    """Colours (V, 3) of distances (V,): from dark blue at 0 to bright yellow at ``hottest`` and above."""
    level = np.clip(np.rint(np.asarray(millimetres) / hottest * 255), 0, 255).astype(np.uint8)
    return cv2.applyColorMap(level[:, None], cv2.COLORMAP_PLASMA)[:, 0, ::-1]


@lru_cache(maxsize=4)
def scale_bar(panel: int, hottest: float) -> panel_drawing.Image:
    """RGBA image with a colour scale at the lower edge of a panel."""
    width, height = round(panel * 0.62), max(6, panel // 40)
    picture = Image.new("RGBA", (panel, panel), (0, 0, 0, 0))
    draw = ImageDraw.Draw(picture)
    left, top = (panel - width) // 2, panel - height - max(18, panel // 12)
    ramp = heat_colours(np.linspace(0, hottest, width), hottest)
    for number, colour in enumerate(ramp):
        draw.line([(left + number, top), (left + number, top + height)], fill=(*map(int, colour), 255))
    font = ImageFont.load_default(size=max(10, panel // 22))
    for place, text, anchor in ((left, "0", "la"), (left + width, f"{hottest:g} mm", "ra")):
        draw.text((place, top + height + 3), text, font=font, fill=(*panel_drawing.TEXT_COLOUR, 255), anchor=anchor)
    return np.asarray(picture)


def result_frames(clip: ResultClip, head: HeadAsset, panel: int, heat_max_mm: float) -> Iterator[panel_drawing.Image]:
    """Frames of a result video as RGB images.

    Args:
        clip: content.
        head: head model.
        panel: edge of a panel, pixels.
        heat_max_mm: distance at the end of the colour scale, millimetres.
    """
    mesh = MeshOverlay(head, panel)
    for frame in range(len(clip.crops)):
        mask, cam = clip.occluded(frame), clip.cam[frame]
        picture = panel_drawing.view_image(clip.crops[frame], CROP_VIEW, panel)
        opacity = panel_drawing.mask_to_panel(mask, CROP_BOX, CROP_VIEW, panel)
        truth, ours = clip.truth[frame], clip.ours[frame]
        distance = np.linalg.norm(truth - ours, axis=1) * 1000
        colours = np.ascontiguousarray(heat_colours(distance, heat_max_mm))
        heat = mesh.draw(truth, cam, CROP_BOX, CROP_VIEW, BACKGROUND, colours=colours)
        panels = [
            panel_drawing.draw_hatching(picture, opacity),
            mesh.draw(truth, cam, CROP_BOX, CROP_VIEW, BACKGROUND),
            mesh.draw(ours, cam, CROP_BOX, CROP_VIEW, BACKGROUND, occluded=mask),
            panel_drawing.draw_rgba(heat, scale_bar(panel, heat_max_mm)),
        ]
        yield panel_drawing.side_by_side(panels, TITLES)


def contact_sheet(pictures: list[panel_drawing.Image], columns: int, edge: int) -> panel_drawing.Image:
    """Arrange square RGB images in a grid of squares of ``edge`` pixels; unused squares are dark."""
    rows = -(-len(pictures) // columns)
    sheet = np.empty((rows * edge, columns * edge, 3), dtype=np.uint8)
    sheet[:] = panel_drawing.BACKGROUND
    for number, picture in enumerate(pictures):
        top, left = number // columns * edge, number % columns * edge
        sheet[top : top + edge, left : left + edge] = cv2.resize(picture, (edge, edge), interpolation=cv2.INTER_AREA)
    return sheet
