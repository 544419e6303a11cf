"""Step 6, animation: the second pass over a video, which writes the video of four panels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from occlufacediff.config.prediction import PredictionSettings
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.fit import FitResult
from occlufacediff.head.skinning import vertices_numpy
from occlufacediff.media.encode import VideoWriter
from occlufacediff.media.frames import read_frames
from occlufacediff.media.probe import MediaInfo
from occlufacediff.media.rates import FPS
from occlufacediff.prediction.audio import Audio
from occlufacediff.prediction.motion import Motion
from occlufacediff.prediction.observation import Observation
from occlufacediff.prediction.panels import TITLES, PanelArtist, PanelLook, PanelPiece, draw_piece
from occlufacediff.prediction.progress import Progress
from occlufacediff.prediction.visibility import Visibility
from occlufacediff.rendering import panel_drawing
from occlufacediff.worker_processes import in_order

#: Number of frames of a piece, which is drawn by one process.
PIECE = 16
#: Half of the time of x264's ``veryfast`` at crf 18, with equal SSIM and 1.3 times the size.
_CRF, _PRESET = 20, "superfast"


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


@dataclass(frozen=True, eq=False)
class Workers:
    """Processes that draw.

    Attributes:
        pool: the processes.
        count: number of processes.
        head: file of the head model, which each process loads.
    """

    pool: ProcessPoolExecutor
    count: int
    head: Path


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
    workers: Workers | None = None,
) -> None:
    """Decode the video again and write four panels: input, input of the network, mesh, landmarks; 25 fps.

    Args:
        path: the mp4 file. Its bytes do not depend on ``workers``.
        info: the probed video.
        head: the head model.
        motion: motion, pose and camera of T frames.
        observation: landmarks and crop boxes.
        visibility: visible landmarks and occluded pixels.
        audio: the animation is silent if it has no track.
        settings: sizes and looks.
        device: where the mesh is drawn.
        progress: called after every frame with the step ``animation``.
        workers: processes that draw; None: this process draws. A GPU is used by this process alone.
    """
    frames = observation.frames
    look = PanelLook(settings.panel_px, settings.mesh_region, settings.mesh_opacity, device)
    pieces = _pieces(info, head, motion, observation, visibility, settings)
    drawn: Iterable[list[NDArray[np.uint8]]]
    if workers is None or device == "cuda":
        drawn = map(PanelArtist(head, look).draw, pieces)
    else:
        drawn = in_order(workers.pool, partial(draw_piece, workers.head, look), pieces, ahead=workers.count + 1)
    waveform = audio.waveform if audio.has_track else None
    size = panel_drawing.panels_size(len(TITLES), settings.panel_px)
    with VideoWriter(path, FPS, size, audio=waveform, crf=_CRF, preset=_PRESET) as writer:
        for images in drawn:
            for image in images:
                writer.write(image)
                progress("animation", writer.frames, frames)


def _pieces(
    info: MediaInfo,
    head: HeadAsset,
    motion: AnimatedMotion,
    observation: Observation,
    visibility: Visibility,
    settings: PredictionSettings,
) -> Iterator[PanelPiece]:
    """What is drawn, `PIECE` frames at a time."""
    views = panel_drawing.smooth_views(observation.boxes, settings.view_scale, settings.view_smoothing_s * FPS)
    source = enumerate(islice(read_frames(info.path), observation.frames))
    while piece := [
        (number, panel_drawing.view_image(frame, views[number], settings.panel_px))
        for number, frame in islice(source, PIECE)
    ]:
        numbers = [number for number, _ in piece]
        part = slice(numbers[0], numbers[-1] + 1)
        yield PanelPiece(
            pictures=[picture for _, picture in piece],
            masks=[visibility.crop_mask(number) for number in numbers],
            occluders=[visibility.occluder(number) for number in numbers],
            boxes=observation.boxes[part],
            views=views[part],
            lmk_2d=observation.lmk_2d[part],
            visible=visibility.lmk_mask[part] > 0,
            # Computed here: with other numbers of threads, sums differ in the last digit.
            vertices=motion.vertices(head, part),
            cam=motion.fit.cam[part],
            confidence=motion.motion.confidence[part],
        )
