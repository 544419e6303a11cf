"""Commands that give motion: `predict`, `export` and `live`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from occlufacediff.cli.group import main
from occlufacediff.cli.options import (
    EXPORTS,
    RateOption,
    blender_option,
    blinks_option,
    mapping_option,
    model_options,
    smoothing_option,
)
from occlufacediff.config.occlusion import KINDS_WITH_IMAGES, OCCLUSION_KINDS


@main.command()
@click.argument("videos", metavar="VIDEO...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("predictions"),
    show_default=True,
    help="Output folder; results are in OUT/<video name>/.",
)
@click.option(
    "--occlusion",
    type=click.Choice([kind for kind in OCCLUSION_KINDS if kind not in KINDS_WITH_IMAGES]),
    default="none",
    show_default=True,
    help="Occlusion to simulate; --occluder simulates one by an image.",
)
@click.option(
    "--visibility",
    type=click.Choice(["auto", "none", "masks", "segmentation"]),
    help="How occlusion in the video is found: auto: by the program itself; none: nothing is occluded; masks: only by "
    "--mask; segmentation: by the model of --segmentation. A mask adds to auto and segmentation.  "
    "[default: auto, or segmentation with --segmentation]",
)
@click.option(
    "--mask",
    type=click.Path(path_type=Path),
    help="Occlusion in the video: one image, a folder with an image per frame, or a video; white = occluded.",
)
@click.option(
    "--segmentation",
    type=click.Path(path_type=Path),
    help="Segmentation model (.tflite) that finds the visible face in the video; all else is occluded.",
)
@click.option(
    "--visible",
    multiple=True,
    show_default="face-skin",
    help="Category of the segmentation model that counts as visible face; can be repeated.",
)
@click.option(
    "--occluder",
    type=click.Path(path_type=Path),
    help="Simulate occlusion by an image (square, RGBA, over the face crop), or by a random one of a folder.",
)
@model_options
@click.option(
    "--steps", type=click.IntRange(1, 1000), help="Number of solver steps; default: 10, with --as-published 100."
)
@click.option("--guidance-all", type=float, help="Guidance weight for all conditions (1 = off).")
@click.option("--guidance-audio", type=float, help="Guidance weight for audio (0 = off).")
@click.option(
    "--as-published",
    is_flag=True,
    help="Published sampling: DDIM, 100 steps, no overlap of windows, any audio, no adaptation or refinement.",
)
@click.option("--export", multiple=True, metavar="FORMAT", help=f"Also write the motion for other programs: {EXPORTS}.")
@mapping_option
@blender_option
@click.option(
    "--fps",
    type=RateOption(),
    help="Frames a second of exported files; video: those of the video; default: 60 for livelink, else 25.",
)
@smoothing_option
@blinks_option
@click.option("--no-viewer", is_flag=True, help="Do not write viewer.html.")
@click.option("--overwrite", is_flag=True, help="Replace results of another video with the same file name.")
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=lambda: min(4, len(os.sched_getaffinity(0))),
    show_default="cores, at most 4",
    help="Number of worker processes; each needs 0.3 GB. Results do not depend on it.",
)
@click.option("--profile", is_flag=True, help="Print the time of each step.")
def predict(
    videos: tuple[Path, ...],
    out: Path,
    occlusion: str,
    visibility: str | None,
    mask: Path | None,
    segmentation: Path | None,
    visible: tuple[str, ...],
    occluder: Path | None,
    seed: int,
    device: str,
    checkpoint: Path | None,
    head: Path | None,
    steps: int | None,
    guidance_all: float | None,
    guidance_audio: float | None,
    as_published: bool,
    export: tuple[str, ...],
    arkit_mapping: Path | None,
    blender: Path | None,
    fps: Any,
    smoothing: Any,
    blinks: Any,
    no_viewer: bool,
    overwrite: bool,
    workers: int,
    profile: bool,
) -> None:
    """Compute the facial motion of VIDEO: motion.npz, an animation (animation.mp4) and a 3D view (viewer.html).

    VIDEO is a file, a folder of videos, or a CSV table with the column "video". With several videos, OUT/summary.csv
    has a row for each, and a video that fails does not stop the others.
    """
    from occlufacediff.commands.predict import run

    status = run(
        videos,
        out,
        occlusion=occlusion,
        visibility=visibility,
        mask=mask,
        segmentation=segmentation,
        visible=visible,
        occluder=occluder,
        seed=seed,
        device=device,
        checkpoint=checkpoint,
        head=head,
        steps=steps,
        guidance=(guidance_all, guidance_audio),
        as_published=as_published,
        viewer=not no_viewer,
        export=export,
        arkit_mapping=arkit_mapping,
        blender=blender,
        fps=fps,
        smoothing=smoothing,
        blinks=blinks,
        overwrite=overwrite,
        workers=workers,
        profile=profile,
    )
    sys.exit(status)


@main.command()
@click.argument("motion", type=click.Path(path_type=Path))
@click.option(
    "--to",
    "formats",
    multiple=True,
    required=True,
    metavar="FORMAT",
    help=f"Format, repeatable or with commas: {EXPORTS}.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Output folder; default: the folder of MOTION. The files have the name of MOTION.",
)
@click.option(
    "--head",
    type=click.Path(path_type=Path),
    help="Head model (.npz); default: the motion's head in resources/heads, else the open head.",
)
@click.option(
    "--unbounded",
    is_flag=True,
    help="Do not fit the coefficients to the range 0 to 1.",
)
@click.option(
    "--fps",
    type=RateOption(),
    help="Frames a second of the files; video: those of the video; default: 60 for livelink, else 25.",
)
@smoothing_option
@blinks_option
@blender_option
@mapping_option
def export(
    motion: Path,
    formats: tuple[str, ...],
    out: Path | None,
    head: Path | None,
    unbounded: bool,
    fps: Any,
    smoothing: Any,
    blinks: Any,
    blender: Path | None,
    arkit_mapping: Path | None,
) -> None:
    """Write MOTION (a motion.npz of `predict`) for other programs."""
    from occlufacediff.commands.export import run

    run(
        motion,
        formats,
        out=out,
        head=head,
        unbounded=unbounded,
        fps=fps,
        smoothing=smoothing,
        blinks=blinks,
        blender=blender,
        arkit_mapping=arkit_mapping,
    )


@main.command()
@click.argument("source")
@click.option("--send", type=click.Choice(["vmc", "livelink"]), required=True, help="Format of the packets.")
@click.option("--to", required=True, metavar="HOST:PORT", help="Receiver; usual ports: vmc 39539, livelink 11111.")
@click.option(
    "--head", type=click.Path(path_type=Path), help="Head model (.npz) with ARKit's actions; default: the open head."
)
@click.option(
    "--visibility",
    type=click.Choice(["auto", "none"]),
    default="auto",
    show_default=True,
    help="auto: the program finds what is hidden; none: nothing is hidden.",
)
@click.option(
    "--look-ahead",
    type=click.FloatRange(min=0, max=2),
    default=0.0,
    show_default=True,
    help="Hidden parts follow the speech of SOURCE this many seconds later; 0: they approach their average.",
)
@click.option(
    "--microphone",
    metavar="FORMAT:DEVICE",
    help="With --look-ahead: follow the speech of this microphone instead. FORMAT is one of ffmpeg's input formats: "
    "pulse:default, alsa:hw:0, avfoundation::0, dshow:audio=NAME.",
)
@click.option("--mirror", is_flag=True, help="Exchange left and right, as in a mirror.")
@click.option(
    "--presets", is_flag=True, help="vmc: send VRM's presets for vowels and blinks instead of ARKit's weights."
)
@click.option("--subject", default="OccluFaceDiff", show_default=True, help="livelink: name of the subject.")
@click.option(
    "--wait",
    type=click.FloatRange(min=0.1),
    default=5.0,
    show_default=True,
    help="Seconds without a frame after which a camera or stream counts as gone.",
)
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), help="End after this time; default: no limit.")
@click.option("--log", type=click.Path(path_type=Path, dir_okay=False), help="CSV file with a row for each frame.")
@click.option("--profile", is_flag=True, help="Print the processor time of each step.")
def live(
    source: str,
    send: Any,
    to: str,
    head: Path | None,
    visibility: str,
    look_ahead: float,
    microphone: str | None,
    mirror: bool,
    presets: bool,
    subject: str,
    wait: float,
    seconds: float | None,
    log: Path | None,
    profile: bool,
) -> None:
    """Send the facial motion of SOURCE to another program, frame by frame.

    SOURCE is a camera (camera:0, /dev/video0), a video that is played in real time, or the address of a stream
    (rtsp://..., udp://...).
    """
    from occlufacediff.commands.live import run

    run(
        source,
        send=send,
        to=to,
        head=head,
        find_hidden=visibility == "auto",
        look_ahead=look_ahead,
        microphone=microphone,
        mirror=mirror,
        presets=presets,
        subject=subject,
        wait=wait,
        seconds=seconds,
        log=log,
        profile=profile,
    )
