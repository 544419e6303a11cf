"""From pictures to ARKit weights, a frame at a time."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from occlufacediff.config.landmarks import LandmarkSettings
from occlufacediff.config.reconstruction import ReconstructionSettings
from occlufacediff.errors import ConfigError
from occlufacediff.export.arkit import ArkitMotion, arkit_motion, mirrored
from occlufacediff.export.motion import PosedMotion
from occlufacediff.export.refit import has_actions
from occlufacediff.face_mesh import MESH_POINTS
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.landmark_basis import LandmarkBasis
from occlufacediff.landmarks.detect import Detector, make_detector
from occlufacediff.landmarks.normalise import crop_boxes, to_crop
from occlufacediff.live.gaze import CausalGaze
from occlufacediff.live.head_fit import KNOWN, CausalFit, Pose, live_settings
from occlufacediff.live.identity import IdentityLearner
from occlufacediff.live.source import Picture
from occlufacediff.live.speech import SpeechThread
from occlufacediff.live.visibility import VisibilityThread
from occlufacediff.media.rates import FPS
from occlufacediff.visibility.finder import OcclusionFinder
from occlufacediff.visibility.margin import within_margin

Float = NDArray[np.float32]

#: Longest step of the fit, seconds: what lies longer back says nothing about this frame.
_LONGEST_S = 1.0
#: Time constant with which the motion of speech appears and disappears, seconds.
FADE_S = 0.08


@dataclass(frozen=True, eq=False)
class Look:
    """What one picture gave.

    Attributes:
        motion: ARKit weights and angles, one frame.
        face: whether a face was found.
        hidden: share of the 468 landmarks that are hidden.
        error_px: mean distance of the fit to visible landmarks, pixels of the crop; NaN without a fit.
    """

    motion: ArkitMotion
    face: bool
    hidden: float
    error_px: float


class LiveFace:
    """Follows one face. A context manager that frees detectors and threads.

    Args:
        head: head model whose coefficients are ARKit actions.
        find_hidden: search for hidden landmarks; otherwise all count as visible.
        mirror: exchange left and right.
        speech: motion of hidden coefficients by speech, added to their average; None for none.
        detector: finds the face; None for MediaPipe's face mesh, which tracks it from frame to frame.

    Raises:
        ConfigError: the head model has other coefficients (FLAME).
        AssetError: the weights of the occlusion network are missing.
    """

    def __init__(
        self,
        head: HeadAsset,
        *,
        find_hidden: bool = True,
        mirror: bool = False,
        speech: SpeechThread | None = None,
        detector: Detector | None = None,
    ) -> None:
        if not has_actions(head):
            raise ConfigError(
                f"--head: the coefficients of the head model {head.name!r} are not ARKit actions, so they give no "
                "ARKit weights; use the open head"
            )
        self._head, self._mirror = head, mirror
        self.detector = detector or make_detector(
            # The search for small faces would delay frames without a face.
            LandmarkSettings(static=False, max_faces=1, small_faces=False)
        )
        self._seeing = VisibilityThread(OcclusionFinder()) if find_hidden else None
        basis, settings = LandmarkBasis.of(head), live_settings(ReconstructionSettings())
        self._fit = CausalFit(basis, settings)
        self._identity = IdentityLearner(basis, settings)
        self._gaze = CausalGaze()
        self._speech = speech
        self._hidden = np.zeros(basis.n_exp + 3, np.float32)
        self._last: float | None = None
        #: Processor time of this thread by part, seconds; MediaPipe's own threads are not in it.
        self.cpu_s = {"detection": 0.0, "fit": 0.0, "weights": 0.0}

    def __enter__(self) -> Self:
        """Load the networks, and let each library use one thread: its products are small, and threads delay frames."""
        import torch

        self._threads, self._torch_threads = threadpool_limits(limits=1), torch.get_num_threads()
        torch.set_num_threads(1)
        self.detector.__enter__()
        nothing = np.zeros((256, 256, 3), np.uint8)
        self.detector.detect(nothing)
        if self._seeing is not None:
            self._seeing.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._seeing is not None:
            self._seeing.__exit__(kind, error, trace)
        self._identity.close()
        self.detector.__exit__(kind, error, trace)
        import torch

        self._threads.restore_original_limits()
        torch.set_num_threads(self._torch_threads)

    @property
    def visibility_cpu_s(self) -> float:
        """Processor time of the thread that searches for hidden landmarks, seconds."""
        return 0.0 if self._seeing is None else self._seeing.cpu_s

    def look(self, picture: Picture, captured: float) -> Look:
        """Weights and angles of the next picture.

        Args:
            picture: (H, W, 3) RGB.
            captured: when, seconds of the monotonic clock.
        """
        seconds = 1 / FPS if self._last is None else float(np.clip(captured - self._last, 1e-3, _LONGEST_S))
        self._last = captured
        begun = time.thread_time()
        faces = self.detector.detect(picture)
        found = time.thread_time()
        if len(faces):
            pose, hidden, gaze = self._fitted(picture, faces[0], seconds)
            pose = self._spoken(pose, captured, seconds)
        else:
            pose, hidden, gaze = self._fit.coast(seconds), 0.0, self._gaze.last
        fitted = time.thread_time()
        motion = arkit_motion(
            PosedMotion(
                name="live",
                exp=pose.exp[None],
                jaw=pose.jaw[None],
                global_pose=pose.global_pose[None],
                shape=self._fit.shape.astype(np.float32),
                fps=float(FPS),
                gaze=gaze[None],
            ),
            self._head,
        )
        if self._mirror:
            motion = mirrored(motion)
        done = time.thread_time()
        for part, spent in zip(self.cpu_s, (found - begun, fitted - found, done - fitted), strict=True):
            self.cpu_s[part] += spent
        return Look(motion, len(faces) > 0, hidden, pose.error_px)

    def _fitted(self, picture: Picture, landmarks: Float, seconds: float) -> tuple[Pose, float, Float]:
        box = crop_boxes(landmarks).astype(np.float32)
        hidden = unused = np.zeros(MESH_POINTS, bool)
        if self._seeing is not None:
            points = to_crop(landmarks[:MESH_POINTS], box).astype(np.float32)
            self._seeing.offer(picture, box, points)
            hidden = self._seeing.hidden
            # Visible landmarks beside an occluder are misplaced.
            unused = within_margin(hidden[None], points[None])[0]
        self._identity.add(landmarks, ~unused, box, seconds)
        identity = self._identity.take()
        if identity is not None:
            self._fit.set_identity(identity)
        pose = self._fit.step(landmarks, ~unused, box, seconds)
        return pose, float(hidden.mean()), self._gaze.step(landmarks, ~unused, pose, seconds)

    def _spoken(self, pose: Pose, captured: float, seconds: float) -> Pose:
        """The pose with the motion of speech in coefficients that are hidden."""
        if self._speech is None:
            return pose
        self._hidden += (1 - np.exp(-seconds / FADE_S)) * ((pose.known < KNOWN) - self._hidden)
        added = self._hidden * self._speech.motion(captured)
        exp = np.clip(pose.exp + added[:-3], 0, 1).astype(np.float32)
        jaw = (pose.jaw + added[-3:]).astype(np.float32)
        jaw[0] = max(jaw[0], 0)
        return replace(pose, exp=exp, jaw=jaw)
