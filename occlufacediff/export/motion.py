"""The motion of one clip with its identity and head pose, as exports and the viewer need it."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from occlufacediff.errors import ConfigError
from occlufacediff.export.limits import require_plausible
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.digest import HEAD_DIGEST, HEAD_NAME, require_head

Float = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class PosedMotion:
    """Motion and head pose of T frames, and the identity.

    Attributes:
        name: shown as the name of the animation.
        exp: (T, E) expression coefficients.
        jaw: (T, 3) jaw rotation, axis-angle, radians.
        global_pose: (T, 3) head rotation, axis-angle, radians.
        shape: (S,) identity coefficients.
        fps: frames a second.
        gaze: (T, 2, 2) yaw and pitch of the subject's left and right eye, radians (`export.arkit`); None if unknown.
        weights: (T, 52) ARKit weights by a mapping (`export.arkit_mapping`); None: they follow from the others.
    """

    name: str
    exp: Float
    jaw: Float
    global_pose: Float
    shape: Float
    fps: float
    gaze: Float | None = None
    weights: Float | None = None

    @property
    def frames(self) -> int:
        """Number of frames T."""
        return len(self.exp)


def read_motion(path: Path) -> dict[str, NDArray[np.generic]]:
    """All entries of a ``motion.npz``.

    Raises:
        ConfigError: there is no such file, or it is no readable npz without pickles.
    """
    return read_arrays(path, f"motion {path}", "give the motion.npz that `predict` wrote")


def read_arrays(path: Path, about: str, remedy: str) -> dict[str, NDArray[np.generic]]:
    """All entries of an .npz file.

    Args:
        path: the file.
        about: beginning of messages.
        remedy: end of messages.

    Raises:
        ConfigError: there is no such file, or it is no readable npz without pickles.
    """
    if not path.is_file():
        found = "is a folder" if path.is_dir() else "there is no such file"
        raise ConfigError(f"{about}: {found}; {remedy}")
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise ConfigError(f"{about}: is not a readable .npz file ({error}); {remedy}") from error


def posed_motion(path: Path, entries: dict[str, NDArray[np.generic]], head: HeadAsset) -> PosedMotion:
    """The motion in the entries of a ``motion.npz``, checked against the head model.

    Args:
        path: the file, for messages.
        entries: see `read_motion`.
        head: the head model.

    Raises:
        AssetError: the motion belongs to another head model.
        ConfigError: an entry is missing, has a wrong shape or holds values that are not finite or beyond
            `export.limits`.
    """
    identity = {name: str(entries[name]) for name in (HEAD_NAME, HEAD_DIGEST) if name in entries}
    require_head(path, identity, head, "give the head model of the motion with --head")
    frames = len(entries["exp"]) if "exp" in entries and entries["exp"].ndim else 0
    needed = {
        "exp": (frames, head.n_exp),
        "jaw": (frames, 3),
        "global_pose": (frames, 3),
        "shape": (head.n_shape,),
        "fps": (),
        # Motions of earlier versions have none.
        "gaze": (frames, 2, 2),
    }
    remedy = "give a motion.npz that `predict` wrote (docs/predict.md)"
    arrays: dict[str, Float] = {}
    for name, shape in needed.items():
        if name not in entries and name == "gaze":
            continue
        if name not in entries:
            raise ConfigError(f"motion {path}: has no entry {name!r}; {remedy}")
        if entries[name].shape != shape or entries[name].dtype.kind not in "fiu":
            found = f"{entries[name].dtype} of shape {entries[name].shape}"
            raise ConfigError(f"motion {path}: entry {name!r} is {found}, needs numbers of shape {shape}; {remedy}")
        # Before the conversion, which turns large doubles into infinity.
        require_plausible(f"motion {path}", name, entries[name], remedy)
        arrays[name] = entries[name].astype(np.float32)
    # The camera is not exported, but a file in which it is absurd is damaged.
    if "cam" in entries and entries["cam"].dtype.kind in "fiu":
        require_plausible(f"motion {path}", "cam", entries["cam"], remedy)
    fps = float(arrays.pop("fps"))
    if frames == 0 or fps <= 0:
        raise ConfigError(f"motion {path}: has {frames} frames at {fps:g} a second, needs one or more; {remedy}")
    return PosedMotion(name=path.parent.name or path.stem, fps=fps, **arrays)


def head_digest_of(entries: dict[str, NDArray[np.generic]]) -> str | None:
    """Digest of the head model in the entries of a ``motion.npz``; None if it names none."""
    return str(entries[HEAD_DIGEST]) if HEAD_DIGEST in entries else None


def video_rate_of(entries: dict[str, NDArray[np.generic]]) -> float:
    """Frames a second of the video in the entries of a ``motion.npz``; NaN if it names none."""
    value = entries.get("video_fps")
    return float("nan") if value is None or value.shape != () or value.dtype.kind not in "fiu" else float(value)
