"""The formats of exports: a name, a suffix and a function each."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from occlufacediff.config.names import BLENDER_FORMATS, EXPORT_SUFFIXES
from occlufacediff.errors import ConfigError
from occlufacediff.export.in_blender import check_blender, write_by_blender
from occlufacediff.export.motion import PosedMotion
from occlufacediff.export.refit import has_actions, refit
from occlufacediff.export.resampling import resampled
from occlufacediff.head.asset import HeadAsset


@dataclass(frozen=True)
class ExportFormat:
    """A file format for motion.

    Attributes:
        name: as in ``--to``.
        title: name for people.
        write: writes a motion of a head model to a path.
        fps: frames a second of the file by default; None: those of the motion.
        check: refuses frames a second and a head model that the file cannot hold, and a package that is not installed;
            without a head model, ARKit weights come from a mapping.
    """

    name: str
    title: str
    write: Callable[[Path, PosedMotion, HeadAsset], None]
    fps: float | None = None
    check: Callable[[float, HeadAsset | None], None] | None = None

    @property
    def suffix(self) -> str:
        """Suffix of the file."""
        return EXPORT_SUFFIXES[self.name]


def _write_glb(path: Path, motion: PosedMotion, head: HeadAsset) -> None:
    from occlufacediff.export.gltf import GltfScene, head_glb

    head_glb(head, [GltfScene(head.name, [motion])]).write(path)


def _check_arkit(fps: float, head: HeadAsset | None) -> None:
    from occlufacediff.export.arkit import require_actions

    if head is not None:
        require_actions(head)


def _check_livelink(fps: float, head: HeadAsset | None) -> None:
    from occlufacediff.export.livelink import require_rate

    require_rate(fps)
    _check_arkit(fps, head)


def _check_usd(fps: float, head: HeadAsset | None) -> None:
    from occlufacediff.export.usd import require_usd

    require_usd()


def _write_livelink(path: Path, motion: PosedMotion, head: HeadAsset) -> None:
    from occlufacediff.export.arkit import arkit_motion
    from occlufacediff.export.livelink import require_rate, write_livelink

    require_rate(motion.fps)
    write_livelink(path, arkit_motion(motion, head))


def _write_audio2face(path: Path, motion: PosedMotion, head: HeadAsset) -> None:
    from occlufacediff.export.arkit import arkit_motion
    from occlufacediff.export.audio2face import write_audio2face

    write_audio2face(path, arkit_motion(motion, head))


def _write_usd(path: Path, motion: PosedMotion, head: HeadAsset) -> None:
    from occlufacediff.export.usd import write_usd

    write_usd(path, motion, head)


def _write_vrma(path: Path, motion: PosedMotion, head: HeadAsset) -> None:
    from occlufacediff.export.arkit import arkit_motion
    from occlufacediff.export.vrma import write_vrma

    write_vrma(path, arkit_motion(motion, head), motion.name)


def _write_obj(path: Path, motion: PosedMotion, head: HeadAsset) -> None:
    from occlufacediff.export.obj import write_obj_sequence

    write_obj_sequence(path, motion, head)


FORMATS = {
    one.name: one
    for one in (
        ExportFormat(name="glb", title="binary glTF 2.0 (morph targets)", write=_write_glb),
        ExportFormat(name="usd", title="USD (UsdSkel blend shapes)", write=_write_usd, check=_check_usd),
        ExportFormat(
            name="livelink",
            title="Live Link Face CSV (ARKit weights, Unreal)",
            write=_write_livelink,
            fps=60,
            check=_check_livelink,
        ),
        ExportFormat(
            name="audio2face", title="Audio2Face JSON (ARKit weights)", write=_write_audio2face, check=_check_arkit
        ),
        ExportFormat(name="vrma", title="VRM animation (ARKit expressions)", write=_write_vrma, check=_check_arkit),
        ExportFormat(name="obj", title="OBJ sequence (one file a frame)", write=_write_obj),
    )
}


#: Other names of formats.
ALIASES = {"abc": "alembic"}


def export_formats(names: Iterable[str], blender: Path | None = None) -> list[ExportFormat]:
    """The formats of these names, each once.

    Args:
        names: each one name or several with commas between them.
        blender: Blender's program, or a Python with the module ``bpy``, for the formats that only Blender writes.

    Raises:
        ConfigError: there is no format of a name, or no name; a format needs Blender and ``blender`` is not a program.
    """
    given = [name.strip() for text in names for name in text.split(",") if name.strip()]
    wanted = list(dict.fromkeys(ALIASES.get(name, name) for name in given))
    known = ", ".join([*FORMATS, *BLENDER_FORMATS])
    if not wanted:
        raise ConfigError(f"export: got no format, needs one or more of {known}")
    for name in wanted:
        if name not in FORMATS and name not in BLENDER_FORMATS:
            raise ConfigError(f"export: got the unknown format {name!r}, needs one or more of {known}")
    return [FORMATS[name] if name in FORMATS else _format_of_blender(name, blender) for name in wanted]


def _format_of_blender(name: str, blender: Path | None) -> ExportFormat:
    program = check_blender(name, blender)
    return ExportFormat(name=name, title=f"{name}, written by Blender", write=partial(write_by_blender, program))


def export_rate(wanted: float | Literal["video"] | None, video_fps: float, source: Path) -> float | None:
    """Frames a second of exported files; None: each format's own.

    Args:
        wanted: a rate, ``video`` for that of the video, or None.
        video_fps: frames a second of the video; NaN if it is not known.
        source: the motion or video, for messages.

    Raises:
        ConfigError: the rate of the video is wanted but not known.
    """
    if wanted != "video":
        return wanted
    if not (np.isfinite(video_fps) and video_fps > 0):
        raise ConfigError(f"export {source}: the frame rate of its video is not known; give a number with --fps")
    return float(video_fps)


def check_exports(
    formats: Iterable[ExportFormat], fps: float | None, motion_fps: float, head: HeadAsset | None
) -> None:
    """Refuse what `write_export` would refuse, before a motion is computed or a file is written.

    Args:
        formats: see `export_formats`.
        fps: frames a second of the files; None: each format's own.
        motion_fps: frames a second of the motion.
        head: the head model; None: ARKit weights come from a mapping.

    Raises:
        ConfigError: a format cannot hold the head model's coefficients or this rate.
        AssetError: a package that a format needs is not installed.
    """
    for one in formats:
        if one.check is not None:
            one.check(fps or one.fps or motion_fps, head)


def write_export(
    one: ExportFormat, path: Path, motion: PosedMotion, head: HeadAsset, *, fps: float | None = None
) -> None:
    """Write a motion in a format, resampled to ``fps``, or to the format's own rate if it has one.

    Raises:
        ConfigError: the format cannot hold the head model's coefficients or this rate.
        StorageError: the file cannot be written.
    """
    rate = fps or one.fps
    one.write(path, motion if rate is None else resampled(motion, rate), head)


def in_range(motion: PosedMotion, head: HeadAsset) -> tuple[PosedMotion, str]:
    """The motion with expression coefficients in [0, 1], and a sentence that says how far the surface moved.

    A head model whose coefficients are not ARKit actions (FLAME) has no such range: its motion is returned unchanged.
    """
    if not has_actions(head):
        return motion, f"the coefficients of the head model {head.name!r} have no range and are written unchanged"
    fitted = refit(head, motion.exp)
    text = (
        f"coefficients fitted to the range 0 to 1: the lips move by {fitted.lips_mm:.2f} mm on average, all moving "
        f"vertices by {fitted.mean_mm:.2f} mm, and any vertex by {fitted.largest_mm:.1f} mm at most"
    )
    return replace(motion, exp=fitted.exp), text
