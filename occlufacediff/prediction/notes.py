"""Remarks for the user about a video and its prediction, one line each."""

from __future__ import annotations

import numpy as np

from occlufacediff.media.rates import FPS
from occlufacediff.prediction.head_fit import HeadFit
from occlufacediff.prediction.observation import Observation
from occlufacediff.visibility.regions import hidden_regions

#: Movement between two frames that no face makes: in edges of the crop, and as the logarithm of the change of size.
_JUMP_MOVE = 0.25
_JUMP_SIZE = 0.2
#: Largest number of jumps that are listed with their times.
_MAX_LISTED = 3
#: Smallest audio offset that viewers notice, frames.
_NOTICEABLE_OFFSET = 2


def notes_of_faces(observation: Observation) -> list[str]:
    """Notes on damaged frames, frames without a face or with several, and jumps of the face."""
    notes = []
    if observation.damaged:
        notes.append(f"{observation.damaged} packets of the file are damaged; the frames after them may be smeared")
    missing = int((~observation.found).sum())
    if missing:
        notes.append(f"no face in {missing} of {observation.frames} frames; they count as occluded")
    if observation.n_faces.max() > 1:
        several = int((observation.n_faces > 1).sum())
        notes.append(f"up to {observation.n_faces.max()} faces (in {several} frames); the largest is followed")
    if jumps := _jumps(observation):
        times = ", ".join(f"{at / FPS:.2f}" for at in jumps[:_MAX_LISTED])
        times += " ..." if len(jumps) > _MAX_LISTED else ""
        notes.append(
            f"the face jumps at {times} s (a cut?); identity and adaptation assume one person, so predict each shot "
            "separately"
        )
    return notes


def notes_of_visibility(observation: Observation) -> list[str]:
    """Note on frames in which the program itself found something before the face."""
    if observation.seen is None:
        return []
    hidden = observation.seen.hidden & observation.found[:, None]
    some = int(hidden.any(axis=1).sum())
    if not some:
        return []
    mouth = int(hidden_regions(hidden)["mouth"].sum())
    return [
        f"something hides part of the face in {some} of {observation.frames} frames (the mouth in {mouth}); these "
        "landmarks are not used: give --visibility none if nothing hides the face"
    ]


def _jumps(observation: Observation) -> list[int]:
    """Frames in which the face has another place or size than in the frame before."""
    found = observation.found
    centre, size = observation.boxes[:, :2] + observation.boxes[:, 2:] / 2, observation.boxes[:, 2]
    moved = np.linalg.norm(np.diff(centre, axis=0), axis=1) / np.minimum(size[1:], size[:-1])
    grown = np.abs(np.diff(np.log(size)))
    jumps = found[1:] & found[:-1] & ((moved > _JUMP_MOVE) | (grown > _JUMP_SIZE))
    return [int(number) + 1 for number in np.flatnonzero(jumps)]


def notes_of_speech(audible: bool, use_audio: bool) -> list[str]:
    """Note on audible audio that is not used."""
    if use_audio or not audible:
        return []
    return ["the audio is not speech (music or noise?); occluded motion is predicted from the video alone"]


def notes_of_fit(fit: HeadFit, use_audio: bool) -> list[str]:
    """Notes on a clip whose face is occluded in all frames."""
    if fit.landmarks == "visible":
        return []
    audio_only = "the motion is predicted from the audio alone"
    notes = [audio_only if use_audio else "no usable audio either: the motion is the average motion of any face"]
    if fit.landmarks == "video":
        notes.append("the face is occluded in all frames: identity, head pose and camera come from all landmarks")
    else:
        notes.append(
            "no frame shows any of the face: identity is the average one; pose and camera come from the detected "
            "landmarks"
        )
    return notes


def notes_of_offset(offset: int) -> list[str]:
    """Note on an audio offset, frames; positive if the audio lags the video."""
    if abs(offset) < _NOTICEABLE_OFFSET:
        return []
    late = f"{1000 * abs(offset) // FPS} ms {'later' if offset > 0 else 'earlier'} than the video"
    return [f"the audio seems to come about {late}; occluded motion follows the video's timing"]
