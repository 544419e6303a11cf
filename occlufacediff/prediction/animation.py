"""Step 6, animation: the second pass over a video, which draws its four panels."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from occlufacediff.config.prediction import PredictionSettings
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.fit import FitResult
from occlufacediff.head.skinning import vertices_numpy
from occlufacediff.landmarks import topology
from occlufacediff.media.encode import VideoWriter
from occlufacediff.media.frames import read_frames
from occlufacediff.media.probe import MediaInfo
from occlufacediff.media.rates import FPS
from occlufacediff.occlusion.occlude import OPAQUE
from occlufacediff.prediction.motion import Motion
from occlufacediff.prediction.observation import Observation
from occlufacediff.prediction.progress import Progress
from occlufacediff.prediction.speech import Audio
from occlufacediff.prediction.visibility import Visibility
from occlufacediff.rendering import panel_drawing
from occlufacediff.rendering.overlay import MeshOverlay

TITLES = ("input", "seen by the network", "recovered motion (bar: confidence)", "landmarks")
#: Closed rings of mesh points that are drawn with stronger lines.
RINGS = (topology.CONTOUR, topology.LIPS_OUTER, topology.LIPS_INNER, topology.RIGHT_EYE, topology.LEFT_EYE)
BROWS = (topology.RIGHT_BROW, topology.LEFT_BROW)
#: Number of frames whose vertices are held in memory.
PIECE = 32


def outline_edges() -> NDArray[np.intp]:
    """(N, 2) pairs of mesh points along face oval, lips, eyes and brows."""
    pairs = [np.stack([np.array(ring), np.roll(ring, -1)], axis=1) for ring in RINGS]
    # The five points of a brow's lower row come before those of its upper row.
    for brow in BROWS:
        for row in (brow[:5], brow[5:]):
            pairs.append(np.stack([row[:-1], row[1:]], axis=1))
    return np.concatenate(pairs)


@dataclass(frozen=True, eq=False)
class AnimatedMotion:
    """Motion and fit of T frames, as the mesh is posed by them."""

    motion: Motion
    fit: FitResult

    def vertices(self, head: HeadAsset, frames: slice) -> NDArray[np.float32]:
        """Vertices (F, V, 3) of some frames, metres."""
        values = self.motion.values[frames]
        return vertices_numpy(
            head, self.fit.shape, exp=values[:, :-3], global_pose=self.fit.global_pose[frames], jaw=values[:, -3:]
        )


def _network_input(
    picture: NDArray[np.uint8],
    mask: NDArray[np.bool_],
    occluder: NDArray[np.uint8] | None,
    box: NDArray[np.float32],
    view: NDArray[np.float32],
) -> NDArray[np.uint8]:
    """Panel (P, P, 3) that shows the occluder's image, if there is one, and hatches all other occluded pixels."""
    panel = picture.shape[0]
    if occluder is None:
        return panel_drawing.draw_hatching(picture, panel_drawing.mask_to_panel(mask, box, view, panel))
    rest = mask & (occluder[..., 3] < OPAQUE)
    hatched = panel_drawing.draw_hatching(picture, panel_drawing.mask_to_panel(rest, box, view, panel))
    return panel_drawing.draw_rgba(hatched, panel_drawing.occluder_to_panel(occluder, box, view, panel))


def write_animation(
    path: Path,
    info: MediaInfo,
    head: HeadAsset,
    motion: AnimatedMotion,
    observation: Observation,
    visibility: Visibility,
    audio: Audio,
    *,
    settings: PredictionSettings,
    device: Literal["cpu", "cuda"],
    progress: Progress,
) -> None:
    """Decode the video again and write four panels: input, input of the network, mesh, landmarks; 25 fps.

    Args:
        path: the mp4 file.
        info: the probed video.
        head: the head model.
        motion: motion, pose and camera of T frames.
        observation: landmarks and crop boxes.
        visibility: visible landmarks and occluded pixels.
        audio: the animation is silent if it has no track.
        settings: sizes and looks.
        device: where the mesh is drawn.
        progress: called after every frame with the step ``animation``.
    """
    boxes, panel, frames = observation.boxes, settings.panel_px, observation.frames
    views = panel_drawing.smooth_views(boxes, settings.view_scale, settings.view_smoothing_s * FPS)
    net, outlines = topology.mesh_edges(), outline_edges()
    mesh = MeshOverlay(head, panel, settings.mesh_region, device)
    vertices = np.empty((0, 0, 3), dtype=np.float32)
    waveform = audio.waveform if audio.has_track else None
    with VideoWriter(path, FPS, panel_drawing.panels_size(len(TITLES), panel), audio=waveform) as writer:
        for number, frame in enumerate(islice(read_frames(info.path), frames)):
            if number % PIECE == 0:
                vertices = motion.vertices(head, slice(number, number + PIECE))
            view, box, mask = views[number], boxes[number], visibility.crop_mask(number)
            picture = panel_drawing.view_image(frame, view, panel)
            points = panel_drawing.crop_to_panel(observation.lmk_2d[number], box, view, panel)
            drawn = mesh.draw(
                vertices[number % PIECE],
                motion.fit.cam[number],
                box,
                view,
                picture,
                opacity=settings.mesh_opacity,
                occluded=mask,
            )
            panels = [
                picture,
                _network_input(picture, mask, visibility.occluder(number), box, view),
                panel_drawing.confidence_bar(drawn, float(motion.motion.confidence[number])),
                panel_drawing.landmark_image(points, visibility.lmk_mask[number] > 0, net, outlines, panel),
            ]
            writer.write(panel_drawing.side_by_side(panels, TITLES))
            progress("animation", number + 1, frames)
