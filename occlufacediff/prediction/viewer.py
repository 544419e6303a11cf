"""What the viewer of a prediction shows."""

from __future__ import annotations

from collections.abc import Sequence

from occlufacediff.export.motion import PosedMotion
from occlufacediff.face_mesh import LIPS
from occlufacediff.head.asset import HeadAsset
from occlufacediff.prediction.pipeline import Prediction
from occlufacediff.viewer.page import Series, Track, ViewerClip, ViewerContent


def posed_motion_of(prediction: Prediction, name: str) -> PosedMotion:
    """The predicted motion with identity and head pose.

    Args:
        prediction: results of the pipeline.
        name: of the animation.
    """
    fit = prediction.fit.result
    return PosedMotion(
        name=name,
        exp=prediction.exp,
        jaw=prediction.jaw,
        global_pose=fit.global_pose,
        shape=fit.shape,
        fps=prediction.fps,
        gaze=prediction.gaze.angles,
    )


def viewer_content(
    prediction: Prediction, head: HeadAsset, name: str, *, files: Sequence[str], animation: str
) -> ViewerContent:
    """The head with its audio, and confidence and visibility along the time line.

    Args:
        prediction: results of the pipeline.
        head: the head model.
        name: of the video.
        files: names of the files beside the page.
        animation: name of the animation beside the page.
    """
    visible = prediction.visibility.lmk_mask > 0
    clip = ViewerClip(
        name=name,
        motions=[posed_motion_of(prediction, name)],
        tracks=[
            Track("confidence of the mouth, 0 to 1", [Series(prediction.confidence)]),
            Track(
                "lips: blue where visible, orange where occluded",
                [Series(visible[:, list(LIPS)].mean(axis=1))],
                kind="band",
            ),
            Track("whole face", [Series(visible.mean(axis=1))], kind="band"),
        ],
        waveform=prediction.audio.waveform if prediction.audio.has_track else None,
        video=animation,
    )
    return ViewerContent(head, [clip], files=files, download=f"{name}.glb")
