"""Second pass over a video: the four-panel animation."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from occlufacediff.config.prediction import PredictionSettings
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.skinning import vertices_numpy
from occlufacediff.landmarks import topology
from occlufacediff.media.encode import VideoWriter
from occlufacediff.media.frames import read_frames
from occlufacediff.media.rates import FPS
from occlufacediff.occlusion.occlude import OPAQUE
from occlufacediff.prediction.observe import Progress
from occlufacediff.rendering import animation
from occlufacediff.rendering.overlay import MeshOverlay

TITLES = ("input", "seen by the network", "recovered motion (bar: confidence)", "landmarks")
#: Closed rings of mesh points that are drawn stronger.
RINGS = (topology.CONTOUR, topology.LIPS_OUTER, topology.LIPS_INNER, topology.RIGHT_EYE, topology.LEFT_EYE)
BROWS = (topology.RIGHT_BROW, topology.LEFT_BROW)
#: Frames whose vertices are held at once.
PIECE = 32


def outline_edges() -> NDArray[np.intp]:
    """(N, 2) pairs of points along face oval, lips, eyes and brows."""
    pairs = [np.stack([np.array(ring), np.roll(ring, -1)], axis=1) for ring in RINGS]
    # A brow's table is its lower row and then its upper row, five points each.
    for brow in BROWS:
        for row in (brow[:5], brow[5:]):
            pairs.append(np.stack([row[:-1], row[1:]], axis=1))
    return np.concatenate(pairs)


def _seen(
    picture: NDArray[np.uint8],
    mask: NDArray[np.bool_],
    occluder: NDArray[np.uint8] | None,
    box: NDArray[np.float32],
    view: NDArray[np.float32],
) -> NDArray[np.uint8]:
    """A panel picture with what is hidden: under the occluder's picture, if there is one, else hatched."""
    panel = picture.shape[0]
    if occluder is None:
        return animation.hide(picture, animation.hidden_on_panel(mask, box, view, panel))
    rest = mask & (occluder[..., 3] < OPAQUE)
    hatched = animation.hide(picture, animation.hidden_on_panel(rest, box, view, panel))
    return animation.paste(hatched, animation.crop_on_panel(occluder, box, view, panel))


def write_animation(
    path: Path,
    video: Path,
    head: HeadAsset,
    motion: dict[str, NDArray[np.float32]],
    lmk_2d: NDArray[np.float32],
    lmk_mask: NDArray[np.float32],
    boxes: NDArray[np.float32],
    confidence: NDArray[np.float32],
    hidden: Callable[[int], NDArray[np.bool_]],
    waveform: NDArray[np.float32] | None,
    *,
    occluder: tuple[NDArray[np.uint8], NDArray[np.bool_]] | None = None,
    settings: PredictionSettings,
    device: Literal["cpu", "cuda"],
    progress: Progress,
) -> None:
    """Decode a video again and write input | occluded input | mesh over the picture | landmarks at 25 fps.

    Args:
        path: the mp4 file.
        video: the source, of the same T frames as in the first pass.
        head: the head model.
        motion: ``exp`` (T, E), ``jaw``, ``global_pose``, ``cam`` (T, 3) and ``shape`` (S,).
        lmk_2d: (T, 468, 2) crop coordinates.
        lmk_mask: (T, 468) 1 = visible.
        boxes: (T, 3) crop boxes, source pixels.
        confidence: (T,) 0 to 1.
        hidden: gives a frame's mask on the crop (224, 224), True = hidden.
        waveform: (T * 640,) at 16 kHz, None for a silent animation.
        occluder: a picture (224, 224, 4) RGBA over the crop, and the frames (T,) that show it instead of hatching.
        settings: sizes and looks.
        device: where the mesh is drawn.
        progress: told of every frame.
    """
    frames, panel = len(boxes), settings.panel_px
    views = animation.steady_views(boxes, settings.view_scale, settings.view_smoothing_s * FPS)
    net, outlines = topology.mesh_edges(), outline_edges()
    mesh = MeshOverlay(head, panel, settings.mesh_region, device)
    vertices = np.empty((0, 0, 3), dtype=np.float32)
    with VideoWriter(path, FPS, animation.size_of(len(TITLES), panel), audio=waveform) as writer:
        for number, frame in enumerate(islice(read_frames(video), frames)):
            if number % PIECE == 0:
                piece = slice(number, number + PIECE)
                per_frame = {name: motion[name][piece] for name in ("exp", "global_pose", "jaw")}
                vertices = vertices_numpy(head, motion["shape"], **per_frame)
            view, box, mask = views[number], boxes[number], hidden(number)
            picture = animation.view_picture(frame, view, panel)
            points = animation.crop_to_panel(lmk_2d[number], box, view, panel)
            visible = lmk_mask[number] > 0
            drawn = mesh.draw(
                vertices[number % PIECE],
                motion["cam"][number],
                box,
                view,
                picture,
                opacity=settings.mesh_opacity,
                hidden=mask,
            )
            panels = [
                picture,
                _seen(picture, mask, None if occluder is None or not occluder[1][number] else occluder[0], box, view),
                animation.confidence_bar(drawn, float(confidence[number])),
                animation.landmark_picture(points, visible, net, outlines, panel),
            ]
            writer.write(animation.side_by_side(panels, TITLES))
            progress("animation", number + 1, frames)
