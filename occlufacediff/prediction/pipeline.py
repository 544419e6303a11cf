"""The prediction pipeline: from a video to facial motion and its animation.

The steps run in this order; each is a function of its own module with a typed record as its result:

1. ``observation``: `observe` gives landmarks, crop boxes and found visibility (`Observation`)
2. ``visibility``: `find_visibility` gives visible landmarks and occluded pixels (`Visibility`)
3. ``fit``: `fit_head` gives identity, pose and camera (`HeadFit`)
4. ``speech``: `hear` reads the audio and recognises phones and words (`Heard`, `Speech`)
5. ``motion``: `reconstruct_motion` samples, adapts and refines (`Motion`)
6. ``animation``: `write_animation` draws the video of four panels

The video is probed once and decoded twice: in steps 1 and 6. With worker processes, step 4 runs beside the steps 1 to
3, and the frames of step 6 are drawn by all processes; results are the same.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from occlufacediff.config.crop import CropSettings
from occlufacediff.config.landmarks import LandmarkSettings
from occlufacediff.config.prediction import PredictionSettings
from occlufacediff.config.reconstruction import ReconstructionSettings
from occlufacediff.config.visibility import VisibilitySettings
from occlufacediff.device import pick_device
from occlufacediff.frame_blocks import free_unused
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.landmark_basis import LandmarkBasis
from occlufacediff.media.probe import MediaInfo, probe
from occlufacediff.media.rates import FPS
from occlufacediff.models.checkpoint import load_networks
from occlufacediff.occlusion.mask_files import open_masks
from occlufacediff.occlusion.occluder_images import occluder_files
from occlufacediff.occlusion.visibility_source import (
    MaskVisibility,
    SegmentationVisibility,
    check_source,
    visibility_source,
)
from occlufacediff.prediction.adaptation import mouth_is_hidden
from occlufacediff.prediction.animation import AnimatedMotion, Workers, write_animation
from occlufacediff.prediction.audio import Audio
from occlufacediff.prediction.gaze import Gaze, find_gaze
from occlufacediff.prediction.head_fit import HeadFit, fit_head
from occlufacediff.prediction.hearing import HearingAhead, Listening, load_libraries
from occlufacediff.prediction.motion import Motion, reconstruct_motion
from occlufacediff.prediction.networks import Networks
from occlufacediff.prediction.notes import (
    notes_of_faces,
    notes_of_fit,
    notes_of_offset,
    notes_of_speech,
    notes_of_visibility,
)
from occlufacediff.prediction.observation import Observation, observe
from occlufacediff.prediction.progress import Progress, StepTimer, no_progress
from occlufacediff.prediction.speech import Speech, needs_words
from occlufacediff.prediction.visibility import MaskSource, Visibility, find_visibility
from occlufacediff.rendering.overlay import check_overlay
from occlufacediff.visibility.finder import OcclusionFinder
from occlufacediff.worker_processes import worker_faults, worker_pool

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Prediction:
    """Results of the steps 1 to 5 for a video of T frames at 25 fps.

    Attributes:
        info: the probed video.
        observation: landmarks and crop boxes.
        visibility: visible landmarks.
        fit: fit of the head model to visible landmarks.
        audio: audio of the video.
        motion: predicted motion, spread and confidence.
        gaze: directions of the eyes.
        expression_names: names of the E expression coefficients.
        head_name: name of the head model.
        head_digest: digest of the head model, 64 hex digits.
        notes: remarks for the user.
        exports: names of the formats that were written.
        fps: frames a second.
    """

    info: MediaInfo
    observation: Observation
    visibility: Visibility
    fit: HeadFit
    audio: Audio
    motion: Motion
    gaze: Gaze
    expression_names: tuple[str, ...]
    head_name: str
    head_digest: str
    notes: tuple[str, ...] = ()
    exports: tuple[str, ...] = ()
    fps: int = FPS

    @property
    def exp(self) -> Floats:
        """(T, E) expression."""
        return self.motion.values[:, :-3]

    @property
    def jaw(self) -> Floats:
        """(T, 3) jaw rotation, axis-angle, radians."""
        return self.motion.values[:, -3:]

    @property
    def video_fps(self) -> float:
        """Frames a second of the video, on average; NaN if the file does not say it."""
        return self.info.video_fps

    @property
    def confidence(self) -> Floats:
        """(T,) reliability of the mouth, 0 to 1."""
        return self.motion.confidence

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Content of ``motion.npz``; `docs/predict.md` lists shapes and units."""
        fit = self.fit.result
        return {
            "exp": self.exp,
            "jaw": self.jaw,
            "global_pose": fit.global_pose,
            "cam": fit.cam,
            "shape": fit.shape,
            "lmk_2d": self.observation.lmk_2d,
            "lmk_mask": self.visibility.lmk_mask,
            "lmk_probability": self.visibility.probability,
            "crop_boxes": self.observation.boxes,
            "n_faces": self.observation.n_faces,
            "gaze": self.gaze.angles,
            "gaze_visible": self.gaze.visible.astype(np.uint8),
            "confidence": self.confidence,
            "spread": self.motion.spread,
            "fit_exp": fit.exp,
            "fit_jaw": fit.jaw,
            "expression_names": np.asarray(self.expression_names, dtype=np.str_),
            "fps": np.asarray(self.fps),
            "video_fps": np.asarray(self.video_fps),
            "head_name": np.asarray(self.head_name),
            "head_digest": np.asarray(self.head_digest),
            "notes": np.asarray(self.notes, dtype=np.str_),
        }


class Predictor:
    """Networks and head model, loaded once for any number of videos; a context manager that ends the workers.

    Args:
        checkpoint_dir: folder with ``motion_prior/`` and ``denoiser/``.
        head: head model (.npz).
        settings: simulated occlusion, sampling and animation.
        device: ``auto``, ``cpu`` or ``cuda``.
        landmarks: settings of the detector; None for the defaults.
        crop: settings of the crop; None for the defaults.
        reconstruction: settings of the fit; None for the defaults.
        visibility: source of visibility; None for no source.
        workers: number of worker processes; below 2, this process does everything. Results do not depend on it.

    Raises:
        AssetError: a file is missing or damaged, or the checkpoint belongs to another head model.
        ConfigError: the device does not exist, or the head model has no region ``mesh_region``.
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
        workers: int = 1,
    ) -> None:
        self.settings = settings
        self.landmarks = landmarks or LandmarkSettings()
        self.crop = crop or CropSettings()
        self.reconstruction = reconstruction or ReconstructionSettings()
        self.visibility = visibility or VisibilitySettings()
        check_source(self.visibility)
        torch_device = pick_device(device)
        self.workers: Workers | None = None
        self._threads = max(workers, 1)
        self.head = HeadAsset.load(head)
        self.basis = LandmarkBasis.of(self.head)
        (prior, _), (denoiser, _) = load_networks(
            checkpoint_dir / "motion_prior", checkpoint_dir / "denoiser", self.head, device=torch_device
        )
        self.networks = Networks(denoiser, prior, torch_device)
        self.drawing_device = _drawing_device(settings.renderer, torch_device.type)
        check_overlay(self.head, settings.mesh_region, self.drawing_device)
        if workers > 1:
            self.workers = Workers(worker_pool(workers), workers, head)
            # Two of them are ready for the audio when it is needed: one for phones, one for words.
            for _ in range(2):
                self.workers.pool.submit(load_libraries)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.workers is not None:
            self.workers.pool.shutdown(cancel_futures=True)

    def predict(
        self,
        video: Path,
        *,
        mask: Path | None = None,
        seed: int = 0,
        progress: Progress = no_progress,
        timer: StepTimer | None = None,
    ) -> Prediction:
        """Run the steps 1 to 5 on a video.

        Args:
            video: any file with a video track.
            mask: mask image, folder of mask images, or mask video, white = occluded; added to ``visibility``.
            seed: seed of the simulated occlusion and of sampling.
            progress: called during each step.
            timer: measures each step; None measures nothing.

        Raises:
            ClipError: the video cannot be used, or the detector gives no landmark of the region to occlude.
            ConfigError: the mask does not match the video, or the occluder is not a usable image.
            OccluFaceError: a worker process was killed.
        """
        timer, settings = timer or StepTimer(), self.settings
        if settings.occlusion == "picture" and settings.region.pictures is not None:
            occluder_files(Path(settings.region.pictures))  # reports a wrong path before minutes of work
        with timer.step("observation"), worker_faults("--workers"):
            info = probe(video)
            track = info.require_video()
            size = track.width, track.height
            given_masks = None if mask is None else open_masks(mask, size)
            listening = Listening(
                silence_db=settings.silence_db,
                only_speech=settings.only_speech,
                phones=self.networks.uses_phones,
                words=needs_words(self.networks, settings.adaptation),
            )
            hearing = HearingAhead(None if self.workers is None else self.workers.pool, info, listening)
            if given_masks is not None or settings.occlusion != "none" or self.visibility.source == "masks":
                hearing.start_words()
            segmented = self.visibility.source == "segmentation"
            observation = observe(
                info,
                landmarks=self.landmarks,
                crop=self.crop,
                min_seconds=settings.min_seconds,
                progress=progress,
                segmentation=SegmentationVisibility(self.visibility) if segmented else None,
                finder=OcclusionFinder() if self.visibility.source == "auto" else None,
                on_hidden=hearing.start_words,
            )
            free_unused()
        with timer.step("visibility"):
            masks: list[MaskSource] = []
            if given_masks is not None:
                given_masks.check_frame_count(observation.frames)
                masks.append(given_masks)
            if self.visibility.source == "masks":
                configured = visibility_source(self.visibility, video.stem, size, observation.frames)
                if isinstance(configured, MaskVisibility):
                    masks.append(configured)
            visibility = find_visibility(
                video, observation, masks, kind=settings.occlusion, settings=settings.region, seed=seed
            )
            if observation.seen is not None:
                # One array less: from here on, only the joined probability is used.
                seen = replace(observation.seen, probability=visibility.probability)
                observation = replace(observation, seen=seen)
            free_unused()
        with timer.step("fit"):
            progress("fit", 0, 1)
            fit = fit_head(self.basis, observation, visibility, settings=self.reconstruction, threads=self._threads)
            gaze = find_gaze(
                self.head, self.basis, fit.result, observation.irises, observation.lmk_2d, visibility.lmk_mask
            )
            fit = fit.without_landmarks()
            free_unused()
            progress("fit", 1, 1)
        with timer.step("speech"):
            progress("speech", 0, 1)
            with worker_faults("--workers"):
                # Words matter only where the video does not show the mouth.
                words = mouth_is_hidden(visibility.lmk_mask, self.basis.expression_names)
                heard = hearing.result(observation.frames, words=words)
            audio = heard.audio
            speech = Speech(heard.waveform, audio.log_mel, heard.transcripts, heard.features)
            progress("speech", 1, 1)
        with timer.step("motion"):
            progress("motion", 0, 1)
            motion = reconstruct_motion(
                self.networks,
                self.basis,
                observation,
                visibility,
                fit.result,
                speech,
                use_audio=heard.used,
                clip_id=video.stem,
                seed=seed,
                settings=settings,
                reconstruction=self.reconstruction,
                threads=self._threads,
            )
            progress("motion", 1, 1)
        notes = [*audio.notes, *notes_of_faces(observation), *notes_of_speech(audio.audible, heard.used)]
        notes += [
            *notes_of_visibility(observation),
            *notes_of_fit(fit, heard.used),
            *notes_of_offset(motion.audio_offset),
        ]
        return Prediction(
            info=info,
            observation=observation,
            visibility=visibility,
            fit=fit,
            audio=audio,
            motion=motion,
            gaze=gaze,
            expression_names=self.head.expression_names,
            head_name=self.head.name,
            head_digest=self.head.digest,
            notes=tuple(notes),
        )

    def animate(
        self,
        prediction: Prediction,
        path: Path,
        *,
        progress: Progress = no_progress,
        timer: StepTimer | None = None,
    ) -> None:
        """Run step 6: write the animation of a prediction to ``path`` (.mp4)."""
        with (timer or StepTimer()).step("animation"), worker_faults("--workers"):
            write_animation(
                path,
                prediction.info,
                self.head,
                AnimatedMotion(prediction.motion, prediction.fit.result),
                prediction.observation,
                prediction.visibility,
                prediction.audio,
                settings=self.settings,
                device=self.drawing_device,
                progress=progress,
                workers=self.workers,
            )


def _drawing_device(renderer: Literal["auto", "cpu", "pytorch3d"], device: str) -> Literal["cpu", "cuda"]:
    """Device that draws the mesh: a GPU with pytorch3d, else the CPU."""
    if renderer == "auto":
        return "cuda" if device == "cuda" and find_spec("pytorch3d") is not None else "cpu"
    return "cuda" if renderer == "pytorch3d" else "cpu"
