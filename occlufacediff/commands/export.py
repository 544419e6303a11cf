"""The command `occlufacediff export`: a motion as files for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.markup import escape

from occlufacediff.config.prediction import Blinks, Smoothing
from occlufacediff.export.arkit_mapping import read_mapping
from occlufacediff.export.audio import AUDIO_SUFFIX, write_wav
from occlufacediff.export.formats import check_exports, export_formats, export_rate, write_export
from occlufacediff.export.motion import head_digest_of, posed_motion, read_motion, video_rate_of
from occlufacediff.export.preparation import prepared
from occlufacediff.head.asset import HeadAsset
from occlufacediff.media.audio import fit_to_frames, read_waveform
from occlufacediff.media.probe import probe
from occlufacediff.media.rates import FPS
from occlufacediff.stages.open_head import head_with_digest, open_head
from occlufacediff.stages.predict import ANIMATION


def run(
    motion: Path,
    formats: tuple[str, ...],
    *,
    out: Path | None,
    head: Path | None,
    unbounded: bool,
    fps: float | Literal["video"] | None = None,
    smoothing: Smoothing = "off",
    blinks: Blinks = "measured",
    blender: Path | None = None,
    arkit_mapping: Path | None = None,
) -> None:
    """Write a motion in some formats, and the audio of the animation beside it as WAV. Paths go to stdout.

    Args:
        motion: ``motion.npz`` of `predict`.
        formats: names of formats.
        out: folder of the files; None: that of ``motion``.
        head: head model; None: the one with the motion's digest in ``resources/heads``, else the open head.
        unbounded: do not fit the coefficients to the range 0 to 1.
        fps: frames a second of the files; ``video``: those of the video; None: each format's own rate, else that of
            the motion.
        smoothing: strength of smoothing.
        blinks: ``full``: blinks close the eyes; ``measured``: as in the motion.
        blender: Blender's program, for FBX and Alembic.
        arkit_mapping: file that maps coefficients of other head models to ARKit weights.

    Raises:
        ConfigError: a format is unknown, needs Blender, or cannot hold this motion, or the motion cannot be read.
        AssetError: the motion belongs to another head model, or this cannot be read.
        StorageError: the folder is not writable.
    """
    errors, console = Console(stderr=True, highlight=False), Console(highlight=False)
    wanted = export_formats(formats, blender)
    entries = read_motion(motion)
    if head is None:
        digest = head_digest_of(entries)
        head = None if digest is None else head_with_digest(digest)
        head = head or open_head(lambda line: errors.print(line, soft_wrap=True, markup=False))
    asset = HeadAsset.load(head)
    posed = posed_motion(motion, entries, asset)
    rate = export_rate(fps, video_rate_of(entries), motion)
    mapping = None if arkit_mapping is None else read_mapping(arkit_mapping, asset)
    check_exports(wanted, rate, posed.fps, None if mapping else asset)
    posed, notes = prepared(posed, asset, blinks=blinks, smoothing=smoothing, bounded=not unbounded, mapping=mapping)
    for note in notes:
        errors.print(f"[yellow]note:[/] {escape(note)}", soft_wrap=True)
    folder = motion.parent if out is None else out
    paths = []
    for one in wanted:
        paths.append(folder / f"{motion.stem}{one.suffix}")
        write_export(one, paths[-1], posed, asset, fps=rate)
    animation = motion.parent / ANIMATION
    if posed.fps == FPS and animation.is_file() and probe(animation).audio is not None:
        waveform, _ = fit_to_frames(read_waveform(animation), posed.frames)
        paths.append(folder / f"{motion.stem}{AUDIO_SUFFIX}")
        write_wav(paths[-1], waveform)
    for path in paths:
        console.print(str(path), soft_wrap=True, markup=False)
