"""Step 1, observation: the first pass over a video. It gives landmarks, crop boxes and what is occluded.

Frames are decoded one at a time and not kept, so memory does not depend on the size of the pictures.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from occlufacediff.config.crop import CropSettings
from occlufacediff.config.landmarks import LandmarkSettings
from occlufacediff.errors import ClipError
from occlufacediff.face_mesh import LEFT_IRIS, LIPS, RIGHT_IRIS
from occlufacediff.frame_blocks import by_blocks
from occlufacediff.landmarks.crop import crop_image
from occlufacediff.landmarks.detect import Detector, make_detector
from occlufacediff.landmarks.interpolate import fill_missing
from occlufacediff.landmarks.normalise import crop_boxes, to_crop
from occlufacediff.landmarks.topology import MESH_POINTS
from occlufacediff.landmarks.track import track_face
from occlufacediff.media.frames import read_frames
from occlufacediff.media.probe import MediaInfo
from occlufacediff.media.rates import FPS
from occlufacediff.occlusion.visibility_source import SegmentationVisibility
from occlufacediff.prediction.crop_masks import CropMasks, packed
from occlufacediff.prediction.progress import Progress
from occlufacediff.visibility.attention import Attention
from occlufacediff.visibility.finder import FoundVisibility, OcclusionFinder, join
from occlufacediff.visibility.joining import ENTER

#: Frames that wait for a look of the occlusion network while landmarks of later frames are detected.
_LOOKS_AHEAD = 4
#: The mouth seems hidden if at least this part of its landmarks does.
_SEEMS_HIDDEN = 0.1

Kept = TypeVar("Kept")


@dataclass(frozen=True, eq=False)
class Observation:
    """The followed face in a video of T frames at 25 fps.

    Attributes:
        lmk_2d: (T, 468, 2) float32, crop coordinates, gaps interpolated; 0 for points that the detector never gives.
        boxes: (T, 3) float32, crop boxes ``(x0, y0, size)``, source pixels.
        known: (T, 468) bool, True where the detector gave the point in this frame.
        n_faces: (T,) int32, number of faces found.
        damaged: number of packets that could not be decoded.
        segmented: occluded pixels of each crop by the segmentation model; None without one.
        seen: visibility found by the occlusion network and the hand detector; None without them.
        irises: (T, 2, 2) centres of the subject's left and right iris, crop coordinates; NaN where not detected.
    """

    lmk_2d: NDArray[np.float32]
    boxes: NDArray[np.float32]
    known: NDArray[np.bool_]
    n_faces: NDArray[np.int32]
    damaged: int = 0
    segmented: CropMasks | None = None
    seen: FoundVisibility | None = None
    irises: NDArray[np.float32] | None = None

    @property
    def frames(self) -> int:
        """Number of frames T."""
        return len(self.known)

    @property
    def found(self) -> NDArray[np.bool_]:
        """(T,) True where the face was found."""
        return np.asarray(self.known.any(axis=1))


class _EveryFace(ABC, Generic[Kept]):
    """A detector that keeps something of every detected face in every frame.

    Which face is followed is known only after the last frame, so what belongs to all faces is kept until then.

    Args:
        detector: finds the faces.
        scale: edge of the crop in mean edges of the landmarks' bounding box.
    """

    def __init__(self, detector: Detector, scale: float) -> None:
        self._detector, self._scale = detector, scale
        self._kept: list[list[Kept]] = []

    @abstractmethod
    def _look(self, number: int, frame: NDArray[np.uint8], faces: NDArray[np.float32]) -> list[Kept]:
        """What is kept of the ``faces`` (n, 478, 2), one or more, of a frame: n things, or none."""

    def detect(self, frame: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Faces (n, 478, 2) of a frame; see `Detector`."""
        faces = self._detector.detect(frame)
        self._kept.append(self._look(len(self._kept), frame, faces) if len(faces) else [])
        return faces

    def reset(self) -> None:
        """Start another clip."""
        self._kept.clear()
        self._detector.reset()

    def __enter__(self) -> Self:
        self._detector.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._detector.__exit__(kind, error, trace)


class _FaceSegmentation(_EveryFace[bytes]):
    """Applies a segmentation model to the crop of every detected face."""

    def __init__(self, detector: Detector, source: SegmentationVisibility, scale: float) -> None:
        super().__init__(detector, scale)
        self._source = source

    def _look(self, number: int, frame: NDArray[np.uint8], faces: NDArray[np.float32]) -> list[bytes]:
        # The box of a found face depends on this frame alone: the crop is that of `Observation.boxes`.
        boxes = crop_boxes(faces, self._scale).astype(np.float32)
        return [packed(self._source.occluded_pixels(number, box, crop_image(frame, box))) for box in boxes]

    def of_faces(self, face_index: NDArray[np.int32]) -> CropMasks:
        """Masks of one face per frame (T,); -1 where it was not found."""
        chosen = zip(self._kept, face_index, strict=True)
        return CropMasks(tuple(masks[face] if face >= 0 else None for masks, face in chosen))


class FaceWatching(_EveryFace[NDArray[np.float32]]):
    """Looks for occlusions of every detected face.

    Args:
        detector: finds the faces.
        finder: looks at them.
        scale: edge of the crop in mean edges of the landmarks' bounding box.
        beside: look in a thread, while the caller detects faces in the next frames. Results are the same. The end of
            the ``with`` block waits for the last look.

    Attributes:
        mouth_seems_hidden: a mouth seemed hidden, or a frame showed no face; by single looks, so it is only a hint.
    """

    def __init__(self, detector: Detector, finder: OcclusionFinder, scale: float, *, beside: bool = False) -> None:
        super().__init__(detector, scale)
        self._finder = finder
        self._thread = ThreadPoolExecutor(1, "occlusions") if beside else None
        self._waiting: deque[Future[None]] = deque()
        self._attention = Attention()
        self.mouth_seems_hidden = False

    def detect(self, frame: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Faces (n, 478, 2) of a frame; see `Detector`."""
        faces = super().detect(frame)
        if not len(faces):
            self.mouth_seems_hidden = True
            self._run(self._attention.no_face)
        return faces

    def reset(self) -> None:
        """Start another clip."""
        super().reset()
        self._attention = Attention()

    def _look(self, number: int, frame: NDArray[np.uint8], faces: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        seen: list[NDArray[np.float32]] = []
        if not self._finder.is_due(number):
            return seen
        self._run(self._turn, partial(self._look_at, frame, faces, seen))
        return seen

    def _run(self, work: Callable[..., None], *arguments: Any) -> None:
        """Do work that depends on looks: in the thread, where there is one, after the work before."""
        if self._thread is None:
            work(*arguments)
            return
        self._waiting.append(self._thread.submit(work, *arguments))
        if len(self._waiting) > _LOOKS_AHEAD:
            self._waiting.popleft().result()

    def _turn(self, look: Callable[[], bool]) -> None:
        """The turn of a frame with faces."""
        self._finder.next_turn()
        self._attention.due(look)

    def _look_at(self, frame: NDArray[np.uint8], faces: NDArray[np.float32], seen: list[NDArray[np.float32]]) -> bool:
        """Append the probabilities (468,) of each face to ``seen``; True if all faces seem clear."""
        clear = True
        boxes = crop_boxes(faces, self._scale).astype(np.float32)
        points = np.nan_to_num(to_crop(faces[:, :MESH_POINTS], boxes)).astype(np.float32)
        for box, landmarks in zip(boxes, points, strict=True):
            seen.append(self._finder.look(frame, box, landmarks))
            clear &= self._finder.clear
            self.mouth_seems_hidden |= bool((seen[-1][list(LIPS)] < ENTER).mean() >= _SEEMS_HIDDEN)
        return clear

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._run(self._attention.end)
        if self._thread is not None:
            self._thread.shutdown(cancel_futures=error is not None)
        self._finder.close()
        super().__exit__(kind, error, trace)

    def of_faces(self, face_index: NDArray[np.int32]) -> FoundVisibility:
        """Visibility of one face per frame (T,); -1 where it was not found."""
        for look in self._waiting:
            look.result()
        chosen = zip(self._kept, face_index, strict=True)
        evidence = {number: seen[face] for number, (seen, face) in enumerate(chosen) if face >= 0 and seen}
        return join(evidence, len(face_index))


def observe(
    info: MediaInfo,
    *,
    landmarks: LandmarkSettings,
    crop: CropSettings,
    min_seconds: float,
    progress: Progress,
    segmentation: SegmentationVisibility | None = None,
    finder: OcclusionFinder | None = None,
    on_hidden: Callable[[], object] = lambda: None,
    beside: bool = True,
) -> Observation:
    """Find the face in every frame of a video and follow the largest one.

    Args:
        info: the probed video.
        landmarks: settings of the detector.
        crop: settings of the crop.
        min_seconds: shortest video that is accepted.
        progress: called after every frame with the step ``observation``.
        segmentation: model that decides which pixels of the crop are occluded.
        finder: finds hidden landmarks; not together with ``segmentation``.
        on_hidden: called after every frame from the first one on in which ``finder`` saw that the mouth may be hidden.
        beside: let ``finder`` look in a thread, while faces in the next frames are detected.

    Raises:
        ClipError: ``no_video``, ``broken_video``, ``too_short`` or ``no_face``; the message names the file.
    """
    video, track = info.path, info.require_video()
    expected = round(track.duration_s * FPS) if track.duration_s else None
    damaged: list[None] = []

    def frames() -> Iterator[NDArray[np.uint8]]:
        for number, frame in enumerate(read_frames(video, damage=lambda: damaged.append(None))):
            yield frame
            progress("observation", number + 1, expected)
            if watching is not None and watching.mouth_seems_hidden:
                on_hidden()

    detector = make_detector(landmarks)
    segmenting = None if segmentation is None else _FaceSegmentation(detector, segmentation, crop.scale)
    watching = None if finder is None else FaceWatching(detector, finder, crop.scale, beside=beside)
    with segmenting or watching or detector as active:
        face = track_face(frames(), active)
    count = len(face.landmarks)
    if count < min_seconds * FPS:
        raise ClipError(
            "too_short", f"{video}: lasts {count / FPS:.2f} s; give a video of at least {min_seconds:g} s of picture"
        )
    if not face.found.any():
        raise ClipError("no_face", f"{video}: no face was found in its {count} frames; give a video that shows one")
    n_faces, face_index = face.n_faces, face.face_index
    known, irises = np.isfinite(face.landmarks[:, :MESH_POINTS]).all(axis=2), _irises(face.landmarks)
    filled, _ = fill_missing(face.landmarks)
    del face  # of a long video, each of these arrays is large
    boxes = by_blocks(partial(crop_boxes, scale=crop.scale), filled, dtype=np.float64)
    lmk_2d = by_blocks(_in_crop, filled, boxes, dtype=np.float32)
    del filled
    return Observation(
        lmk_2d=lmk_2d,
        boxes=boxes.astype(np.float32),
        known=known,
        n_faces=n_faces,
        irises=to_crop(irises, boxes).astype(np.float32),
        damaged=len(damaged),
        segmented=None if segmenting is None else segmenting.of_faces(face_index),
        seen=None if watching is None else watching.of_faces(face_index),
    )


def _in_crop(landmarks: NDArray[np.float32], boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Crop coordinates (T, 468, 2) of landmarks (T, 478, 2), pixels; 0 for points that are not finite."""
    return np.nan_to_num(to_crop(landmarks[:, :MESH_POINTS], boxes))


def _irises(landmarks: NDArray[np.float32]) -> NDArray[np.float32]:
    """Centres (T, 2, 2) of the subject's left and right iris from landmarks (T, 478, 2)."""
    centres: NDArray[np.float32] = np.stack(
        [landmarks[:, iris].mean(axis=1) for iris in (LEFT_IRIS, RIGHT_IRIS)], axis=1
    )
    return centres
