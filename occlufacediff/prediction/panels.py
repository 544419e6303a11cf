"""Draws the four panels of a prediction's animation, a piece of frames at a time; in another process if wanted.

This module does not import torch, so that a worker process starts fast.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from occlufacediff.head.asset import HeadAsset
from occlufacediff.landmarks import topology
from occlufacediff.occlusion.moving_picture import OPAQUE
from occlufacediff.rendering import panel_drawing
from occlufacediff.rendering.overlay import MeshOverlay

Floats = NDArray[np.float32]
Image = NDArray[np.uint8]

TITLES = ("input", "seen by the network", "recovered motion (bar: confidence)", "landmarks")
#: Closed rings of mesh points that are drawn with stronger lines.
RINGS = (topology.CONTOUR, topology.LIPS_OUTER, topology.LIPS_INNER, topology.RIGHT_EYE, topology.LEFT_EYE)
BROWS = (topology.RIGHT_BROW, topology.LEFT_BROW)


def outline_edges() -> NDArray[np.intp]:
    """(N, 2) pairs of mesh points along face oval, lips, eyes and brows."""
    pairs = [np.stack([np.array(ring), np.roll(ring, -1)], axis=1) for ring in RINGS]
    # The five points of a brow's lower row come before those of its upper row.
    for brow in BROWS:
        for row in (brow[:5], brow[5:]):
            pairs.append(np.stack([row[:-1], row[1:]], axis=1))
    return np.concatenate(pairs)


@dataclass(frozen=True)
class PanelLook:
    """Sizes and looks of all panels.

    Attributes:
        panel: edge of a panel, pixels.
        region: region of the head model that is drawn.
        opacity: of the mesh, 0 to 1.
        device: where the mesh is drawn.
    """

    panel: int
    region: str
    opacity: float
    device: Literal["cpu", "cuda"] = "cpu"


@dataclass(frozen=True, eq=False)
class PanelPiece:
    """What the panels of F consecutive frames show.

    Attributes:
        pictures: (P, P, 3) views of the video.
        masks: (224, 224) occluded pixels of each crop.
        occluders: (224, 224, 4) images of the simulated occluder; None where none is shown.
        boxes: (F, 3) crop boxes ``(x0, y0, size)``, source pixels.
        views: (F, 3) squares shown, source pixels.
        lmk_2d: (F, 468, 2) crop coordinates.
        visible: (F, 468) True where the network sees the landmark.
        vertices: (F, V, 3) metres, of the posed head.
        cam: (F, 3) ``[s, tx, ty]``.
        confidence: (F,) reliability of the mouth, 0 to 1.
    """

    pictures: list[Image]
    masks: list[NDArray[np.bool_]]
    occluders: list[Image | None]
    boxes: Floats
    views: Floats
    lmk_2d: Floats
    visible: NDArray[np.bool_]
    vertices: Floats
    cam: Floats
    confidence: Floats


class PanelArtist:
    """Draws pieces of one head.

    Raises:
        ConfigError: the head model has no such region.
    """

    def __init__(self, head: HeadAsset, look: PanelLook) -> None:
        self._look = look
        self._mesh = MeshOverlay(head, look.panel, look.region, look.device)
        self._net, self._outlines = topology.mesh_edges(), outline_edges()

    def draw(self, piece: PanelPiece) -> list[Image]:
        """The four panels of each frame side by side, below their titles."""
        return [self._frame(piece, number) for number in range(len(piece.pictures))]

    def _frame(self, piece: PanelPiece, number: int) -> Image:
        panel = self._look.panel
        picture, mask = piece.pictures[number], piece.masks[number]
        box, view = piece.boxes[number], piece.views[number]
        drawn = self._mesh.draw(
            piece.vertices[number], piece.cam[number], box, view, picture, opacity=self._look.opacity, occluded=mask
        )
        points = panel_drawing.crop_to_panel(piece.lmk_2d[number], box, view, panel)
        panels = [
            picture,
            _network_input(picture, mask, piece.occluders[number], box, view),
            panel_drawing.confidence_bar(drawn, float(piece.confidence[number])),
            panel_drawing.landmark_image(points, piece.visible[number], self._net, self._outlines, panel),
        ]
        return panel_drawing.side_by_side(panels, TITLES)


def draw_piece(head: Path, look: PanelLook, piece: PanelPiece) -> list[Image]:
    """`PanelArtist.draw` for worker processes, which keep their artist from one piece to the next."""
    return _artist(head, look).draw(piece)


@lru_cache(maxsize=1)
def _artist(head: Path, look: PanelLook) -> PanelArtist:
    return PanelArtist(HeadAsset.load(head), look)


def _network_input(picture: Image, mask: NDArray[np.bool_], occluder: Image | None, box: Floats, view: Floats) -> Image:
    """Panel (P, P, 3) that shows the occluder's image, if there is one, and hatches all other occluded pixels."""
    panel = picture.shape[0]
    rest = mask if occluder is None else mask & (occluder[..., 3] < OPAQUE)
    hatched = picture
    if rest.any():
        hatched = panel_drawing.draw_hatching(picture, panel_drawing.mask_to_panel(rest, box, view, panel))
    if occluder is None:
        return hatched
    return panel_drawing.draw_rgba(hatched, panel_drawing.occluder_to_panel(occluder, box, view, panel))
