"""From a video to facial motion: landmarks and sound, what is hidden, the fit of the head, the denoiser."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from occlufacediff.config.crop import CropSettings
from occlufacediff.config.landmarks import LandmarkSettings
from occlufacediff.config.prediction import PredictionSettings
from occlufacediff.config.reconstruction import ReconstructionSettings
from occlufacediff.config.visibility import VisibilitySettings
from occlufacediff.device import pick_device
from occlufacediff.errors import ClipError
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.fit import FitResult, fit_clip, well_seen
from occlufacediff.head.follow import follow_visible
from occlufacediff.head.landmark_basis import LandmarkBasis
from occlufacediff.landmarks.normalise import CROP_PX
from occlufacediff.landmarks.visibility import to_pixels
from occlufacediff.media.frames import FPS
from occlufacediff.media.probe import probe
from occlufacediff.models.checkpoint import load_networks
from occlufacediff.occlusion.mask_files import open_masks
from occlufacediff.occlusion.occlude import Occlusion, occlude
from occlufacediff.occlusion.occluder_images import occluder_files
from occlufacediff.occlusion.regions import missing_to_nan
from occlufacediff.occlusion.visibility_source import MaskVisibility, VisibilitySource, check_source, visibility_source
from occlufacediff.prediction.adaptation import Adapted
from occlufacediff.prediction.animate import write_animation
from occlufacediff.prediction.confidence import confidence
from occlufacediff.prediction.motion import Heard, Networks, Sampling, infer
from occlufacediff.prediction.notes import notes_of_faces, notes_of_offset
from occlufacediff.prediction.observe import Observation, Progress, Sound, listen, observe
from occlufacediff.prediction.visibility import Covered, look_at
from occlufacediff.rendering.overlay import check_overlay
from occlufacediff.speech.voice_activity import detect_voice_activity

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Prediction:
    """Facial motion of a video, T frames at 25 fps.

    Attributes:
        exp: (T, E) expression, by the denoiser, then fitted to visible landmarks (unless switched off).
        jaw: (T, 3) axis-angle, radians, likewise.
        global_pose: (T, 3) axis-angle, radians, by the fit to visible landmarks.
        cam: (T, 3) ``[s, tx, ty]`` of each frame's crop, by the fit.
        shape: (S,) identity, by the fit.
        lmk_2d: (T, 468, 2) landmarks, crop coordinates in [-1, 1], y down.
        lmk_mask: (T, 468) 1 where the network saw the landmark.
        crop_boxes: (T, 3) ``(x0, y0, size)``, source pixels.
        n_faces: (T,) faces found; the largest was followed.
        confidence: (T,) how far the mouth is to be trusted, 0 to 1; see `prediction.confidence`.
        spread: (T, E + 3) standard deviation of expression and jaw; NaN where it is not known.
        fit_exp: (T, E) expression of the fit alone.
        fit_jaw: (T, 3) jaw of the fit alone.
        expression_names: names of the E expression coefficients.
        head_name: name of the head model.
        head_digest: its digest, 64 hex digits.
        fps: frames a second.
        notes: what a user should know: silence, several faces, frames without a face.
        seconds: time spent on each step; filled in further while the animation is drawn.
    """

    exp: Floats
    jaw: Floats
    global_pose: Floats
    cam: Floats
    shape: Floats
    lmk_2d: Floats
    lmk_mask: Floats
    crop_boxes: Floats
    n_faces: NDArray[np.int32]
    confidence: Floats
    spread: Floats
    fit_exp: Floats
    fit_jaw: Floats
    expression_names: tuple[str, ...]
    head_name: str
    head_digest: str
    fps: int = FPS
    notes: tuple[str, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What ``motion.npz`` holds."""
        names = ("exp", "jaw", "global_pose", "cam", "shape", "lmk_2d", "lmk_mask", "crop_boxes", "n_faces")
        arrays = {name: getattr(self, name) for name in (*names, "confidence", "spread", "fit_exp", "fit_jaw")}
        return arrays | {
            "expression_names": np.asarray(self.expression_names, dtype=np.str_),
            "fps": np.asarray(self.fps),
            "head_name": np.asarray(self.head_name),
            "head_digest": np.asarray(self.head_digest),
            "notes": np.asarray(self.notes, dtype=np.str_),
        }


class Predictor:
    """Networks and head model, loaded once, for any number of videos.

    Args:
        checkpoint_dir: folder with ``motion_prior/`` and ``denoiser/``.
        head: head model (.npz).
        settings: what to hide, how to sample and draw.
        device: ``auto``, ``cpu`` or ``cuda``.
        landmarks: settings of the detector; None for the defaults.
        crop: settings of the crop; None for the defaults.
        reconstruction: settings of the fit; None for the defaults.
        visibility: what tells what is hidden in the videos themselves; None for nothing.

    Raises:
        AssetError: a file is missing or damaged, or the checkpoint belongs to another head model.
        ConfigError: the device is not there, or the head has no region ``mesh_region``.
    """

    def __init__(
        self,
        checkpoint_dir: Path,
        head: Path,
        *,
        settings: PredictionSettings,
        device: str = "auto",
        landmarks: LandmarkSettings | None = None,
        crop: CropSettings | None = None,
        reconstruction: ReconstructionSettings | None = None,
        visibility: VisibilitySettings | None = None,
    ) -> None:
        self.settings = settings
        self.landmarks = landmarks or LandmarkSettings()
        self.crop = crop or CropSettings()
        self.reconstruction = reconstruction or ReconstructionSettings()
        self.visibility = visibility or VisibilitySettings()
        check_source(self.visibility)
        self.device = pick_device(device)
        self._loading = time.perf_counter()
        self.head = HeadAsset.load(head)
        self.basis = LandmarkBasis.of(self.head)
        (prior, _), (denoiser, _) = load_networks(
            checkpoint_dir / "motion_prior", checkpoint_dir / "denoiser", self.head, device=self.device
        )
        self.networks = Networks(denoiser, prior, self.device)
        check_overlay(self.head, settings.mesh_region, self._drawing_device())
        self._loading = time.perf_counter() - self._loading

    def predict(
        self, video: Path, *, mask: Path | None = None, seed: int = 0, progress: Progress
    ) -> tuple[Prediction, Callable[[Path], None]]:
        """Predict the motion of a video.

        Args:
            video: any file with a picture track.
            mask: mask picture, folder of them or video, white = hidden; counts together with ``visibility``.
            seed: of the occlusion and of sampling.
            progress: told of every step.

        Returns:
            The prediction, and a function that draws its animation to a path.

        Raises:
            ClipError: the video cannot be used, or the detector gives no landmark of the region to be hidden.
            ConfigError: the mask does not fit the video, or the occluder is no usable picture.
        """
        seconds = {"loading": self._loading}
        if self.settings.occlusion == "picture" and self.settings.region.pictures is not None:
            occluder_files(Path(self.settings.region.pictures))  # a wrong path is said before minutes of work
        with _timed(seconds, "landmarks"):
            info = probe(video)
            track = info.require_video()
            size = track.width, track.height
            masks = None if mask is None else open_masks(mask, size)
            seen = observe(
                info,
                landmarks=self.landmarks,
                crop=self.crop,
                min_seconds=self.settings.min_seconds,
                progress=progress,
            )
        with _timed(seconds, "sound"):
            sound = listen(info, seen.frames, silence_db=self.settings.silence_db)
        with _timed(seconds, "occlusion"):
            covers: list[VisibilitySource] = []
            if masks is not None:
                masks.check_frame_count(seen.frames)
                covers.append(MaskVisibility(masks))
            if (told := visibility_source(self.visibility, video.stem, size, seen.frames)) is not None:
                covers.append(told)
            covered = look_at(video, seen.boxes, covers, progress) if covers else None
            rng = np.random.default_rng([seed, *video.stem.encode()])
            given = missing_to_nan(seen.lmk_2d, seen.known)
            try:
                drawn = occlude(self.settings.occlusion, given, rng, self.settings.region)
            except ClipError as error:
                raise ClipError(error.reason, f"{video}: {error}") from error
            trusted = _trusted(seen, covered)
            lmk_mask = drawn.lmk_mask(seen.lmk_2d) * trusted
        notes = [*sound.notes, *notes_of_faces(seen)]
        with _timed(seconds, "activity"):
            use_sound = self._is_worth_hearing(sound, notes)
        with _timed(seconds, "phones"):
            heard = self._hear(sound, use_sound)
        with _timed(seconds, "fit"):
            progress("fit", 0, 1)
            fit = self._fit(seen, lmk_mask, trusted, use_sound, notes)
            progress("fit", 1, 1)
        with _timed(seconds, "sampling"):
            progress("sampling", 0, 1)
            adapted = self._sample(video, seen, lmk_mask, fit, heard, use_sound, seed)
            progress("sampling", 1, 1)
        notes += notes_of_offset(adapted.offset)
        motion = adapted.motion
        if self.settings.follow_visible:
            with _timed(seconds, "following"):
                motion = follow_visible(
                    self.basis,
                    motion,
                    seen.lmk_2d,
                    lmk_mask,
                    fit.shape,
                    settings=self.reconstruction,
                    boxes=seen.boxes,
                    joined=adapted.adapted,
                )
        prediction = Prediction(
            exp=motion[:, :-3],
            jaw=motion[:, -3:],
            global_pose=fit.global_pose,
            cam=fit.cam,
            shape=fit.shape,
            lmk_2d=seen.lmk_2d,
            lmk_mask=lmk_mask,
            crop_boxes=seen.boxes,
            n_faces=seen.n_faces,
            confidence=confidence(
                lmk_mask,
                seen.known,
                adapted.spread,
                self.networks.prior.motion_std.cpu().numpy(),
                fit.global_pose,
                self.head.expression_names,
            ),
            spread=adapted.spread,
            fit_exp=fit.exp,
            fit_jaw=fit.jaw,
            expression_names=self.head.expression_names,
            head_name=self.head.name,
            head_digest=self.head.digest,
            notes=tuple(notes),
            seconds=seconds,
        )
        waveform = sound.waveform if sound.track else None
        hidden = partial(_hidden, drawn, covered, seen.known.any(axis=1))
        occluder = None if drawn.picture is None else (drawn.picture, drawn.frames)
        return prediction, partial(self._draw, video, prediction, hidden, occluder, waveform, progress)

    def _is_worth_hearing(self, sound: Sound, notes: list[str]) -> bool:
        """Whether the sound may move the face; a note tells why not, where `listen` has not told it."""
        if not (sound.heard and self.settings.only_speech):
            return sound.heard
        spoken = detect_voice_activity(sound.waveform, silence_db=self.settings.silence_db).kind == "speech"
        if not spoken:
            notes.append("the sound is no speech (music or noise?); only the picture tells of hidden motion")
        return spoken

    def _hear(self, sound: Sound, use_sound: bool) -> Heard:
        """What the networks are told. A sound that is left out is not listened to: silence stands for it."""
        waveform = sound.waveform if use_sound else np.zeros_like(sound.waveform)
        return Heard.of(waveform, sound.log_mel, self.networks, self.settings.adaptation)

    def _fit(
        self, seen: Observation, lmk_mask: Floats, trusted: Floats, use_sound: bool, notes: list[str]
    ) -> FitResult:
        def fitted(visible: NDArray[np.generic], shape: Floats | None = None) -> FitResult:
            return fit_clip(
                self.basis, seen.lmk_2d, settings=self.reconstruction, boxes=seen.boxes, visible=visible, shape=shape
            )

        if well_seen(self.basis, lmk_mask).any():
            return fitted(lmk_mask)
        alone = "the motion is guessed from the sound alone"
        notes.append(alone if use_sound else "nothing is heard either: the motion is that of any face")
        if well_seen(self.basis, trusted).any():
            # All is hidden on purpose: the head is placed as the unhidden video tells.
            notes.append("everything is hidden: identity, head pose and camera come from all landmarks found")
            return fitted(trusted)
        notes.append(
            "nothing of the face is visible in any frame: identity is the average one, the head is placed where the "
            "detector takes it to be"
        )
        fit = fitted(seen.known, np.zeros(self.basis.n_shape, np.float32))
        return replace(fit, exp=np.zeros_like(fit.exp), jaw=np.zeros_like(fit.jaw))

    def _sample(
        self,
        video: Path,
        seen: Observation,
        lmk_mask: Floats,
        fit: FitResult,
        heard: Heard,
        use_sound: bool,
        seed: int,
    ) -> Adapted:
        settings = self.settings
        weights = (settings.guidance_all, settings.guidance_audio)
        return infer(
            self.networks,
            self.basis,
            seen.lmk_2d,
            lmk_mask,
            fit,
            heard,
            use_sound=use_sound,
            clip_id=video.stem,
            seed=seed,
            sampling=Sampling(
                settings.solver, settings.steps, None if weights == (None, None) else weights, settings.window_hop
            ),
            adaptation=settings.adaptation,
        )

    def _drawing_device(self) -> Literal["cpu", "cuda"]:
        choice = self.settings.renderer
        if choice == "auto":
            on_gpu = self.device.type == "cuda" and find_spec("pytorch3d") is not None
            return "cuda" if on_gpu else "cpu"
        return "cuda" if choice == "pytorch3d" else "cpu"

    def _draw(
        self,
        video: Path,
        prediction: Prediction,
        hidden: Callable[[int], NDArray[np.bool_]],
        occluder: tuple[NDArray[np.uint8], NDArray[np.bool_]] | None,
        waveform: Floats | None,
        progress: Progress,
        path: Path,
    ) -> None:
        with _timed(prediction.seconds, "animation"):
            write_animation(
                path,
                video,
                self.head,
                {name: getattr(prediction, name) for name in ("exp", "jaw", "global_pose", "cam", "shape")},
                prediction.lmk_2d,
                prediction.lmk_mask,
                prediction.crop_boxes,
                prediction.confidence,
                hidden,
                waveform,
                occluder=occluder,
                settings=self.settings,
                device=self._drawing_device(),
                progress=progress,
            )


def _hidden(drawn: Occlusion, covered: Covered | None, found: NDArray[np.bool_], frame: int) -> NDArray[np.bool_]:
    """Mask (224, 224) of a frame on its crop: hidden on purpose, or in the video itself, or no face found in it."""
    if not found[frame]:
        return np.ones((CROP_PX, CROP_PX), dtype=bool)
    mask = drawn.image_mask(slice(frame, frame + 1))[0]
    return mask if covered is None else mask | covered[frame]


def _trusted(seen: Observation, covered: Covered | None) -> Floats:
    """Landmarks (T, 468) that the video itself shows, 1 or 0: found, and nothing lies over them."""
    trusted = seen.known.astype(np.float32)
    if covered is not None:
        pixels = np.clip(to_pixels(seen.lmk_2d), 0, CROP_PX - 1)
        for frame, (x, y) in enumerate(pixels.transpose(0, 2, 1)):
            trusted[frame] *= ~covered[frame][y, x]
    return trusted


@contextmanager
def _timed(seconds: dict[str, float], step: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[step] = time.perf_counter() - start
