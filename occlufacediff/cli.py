"""The ``occlufacediff`` command. Heavy imports are inside the commands, so that ``--help`` is fast."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from occlufacediff import __version__
from occlufacediff.config.names import EXPORT_FORMATS, SMOOTHING
from occlufacediff.config.occlusion import KINDS_WITH_IMAGES, OCCLUSION_KINDS
from occlufacediff.errors import OccluFaceError
from occlufacediff.threads import limit_threads

Command = Callable[..., None]
EXPORTS = ", ".join(EXPORT_FORMATS)


def model_options(command: Command) -> Command:
    """Add the options of commands that run the trained model: ``--seed --device --checkpoint --head``."""
    options = (
        click.option(
            "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of all random draws."
        ),
        click.option(
            "--device",
            type=click.Choice(["auto", "cpu", "cuda"]),
            default="auto",
            show_default=True,
            help="Device of the networks; auto: a GPU if there is one.",
        ),
        click.option(
            "--checkpoint",
            type=click.Path(path_type=Path),
            help="Folder with motion_prior/ and denoiser/; default: the open weights of this package.",
        ),
        click.option(
            "--head",
            type=click.Path(path_type=Path),
            help="Head model (.npz); default: the open head, built at the first use; "
            "with --checkpoint, the checkpoint's head in resources/heads.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


class UserErrors(click.Group):
    """Prints an :class:`OccluFaceError` as one red line and exits with status 2."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; an :class:`OccluFaceError` ends it without a traceback."""
        try:
            return super().invoke(ctx)
        except OccluFaceError as error:
            click.secho(f"occlufacediff: {error}", fg="red", err=True)
            sys.exit(2)


@click.group(cls=UserErrors, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="occlufacediff")
def main() -> None:
    """3D facial motion from talking videos with partly occluded faces."""
    limit_threads()


class RateOption(click.ParamType):
    """Frames a second from 1 to 240, or ``video``."""

    name = "rate"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | str:
        """The number, or ``video``."""
        if value == "video":
            return "video"
        try:
            return float(click.FloatRange(min=1, max=240).convert(value, param, ctx))
        except click.UsageError as error:
            self.fail(f"{error.message.rstrip('.')}; needs a number of frames a second or 'video'.", param, ctx)


def smoothing_option(command: Command) -> Command:
    """Add the option ``--smoothing``."""
    return click.option(
        "--smoothing",
        type=click.Choice(SMOOTHING),
        default="light",
        show_default=True,
        help="Smoothing of exported motion, without lag; blinks and lip closures are kept.",
    )(command)


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
@click.option(
    "--fps",
    type=RateOption(),
    help="Frames a second of exported files; video: those of the video; default: 60 for livelink, else 25.",
)
@smoothing_option
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
    fps: Any,
    smoothing: Any,
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
        fps=fps,
        smoothing=smoothing,
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
    help=f"Format, repeatable or with commas: {EXPORTS}; with --blender also fbx, alembic.",
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
@click.option(
    "--blender",
    type=click.Path(path_type=Path),
    help="Blender's program, or a Python with the module bpy; writes the formats fbx and alembic.",
)
def export(
    motion: Path,
    formats: tuple[str, ...],
    out: Path | None,
    head: Path | None,
    unbounded: bool,
    fps: Any,
    smoothing: Any,
    blender: Path | None,
) -> None:
    """Write MOTION (a motion.npz of `predict`) for other programs."""
    from occlufacediff.commands.export import run

    run(motion, formats, out=out, head=head, unbounded=unbounded, fps=fps, smoothing=smoothing, blender=blender)


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
        mirror=mirror,
        presets=presets,
        subject=subject,
        wait=wait,
        seconds=seconds,
        log=log,
        profile=profile,
    )


@main.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("results/benchmark"),
    show_default=True,
    help="Output folder; its intermediate results of the same videos are reused.",
)
@click.option("--quick", is_flag=True, help="Occlude only the mouth, in the middle half of the frames.")
@click.option("--workers", type=click.IntRange(min=1), default=1, show_default=True, help="Number of processes.")
@model_options
def benchmark(
    folder: Path,
    out: Path,
    quick: bool,
    workers: int,
    seed: int,
    device: str,
    checkpoint: Path | None,
    head: Path | None,
) -> None:
    """Compare all methods on the videos in FOLDER with simulated occlusion."""
    from occlufacediff.commands.benchmark import run

    run(folder, out, checkpoint=checkpoint, head=head, seed=seed, device=device, workers=workers, quick=quick)


@main.command()
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option(
    "--to",
    "target",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="Output file: .safetensors for a network (with a .yaml next to it), .npz for a head model.",
)
@click.option("--head-name", help="Name of the head model; default: from FLAME's file name; flame2020 for networks.")
@click.option(
    "--audio-config",
    type=click.Path(path_type=Path),
    help="config.json of the denoiser's wav2vec2, if it is not wav2vec2-base.",
)
@click.option(
    "--embedding",
    type=click.Path(path_type=Path),
    help="MediaPipe landmark embedding (.npz), if it is in another folder.",
)
@click.option("--masks", type=click.Path(path_type=Path), help="FLAME_masks.pkl, if it is in another folder.")
def convert(
    checkpoint: Path,
    target: Path,
    head_name: str | None,
    audio_config: Path | None,
    embedding: Path | None,
    masks: Path | None,
) -> None:
    """Convert the published CHECKPOINT (denoiser .pt, FLINT .ckpt, or FLAME's folder) to this package's format."""
    from occlufacediff.stages.convert_checkpoint import convert as write

    click.echo(
        write(
            checkpoint,
            target,
            head_name=head_name,
            audio_config=audio_config,
            embedding=embedding,
            masks=masks,
        )
    )


@main.command()
@click.argument("transcripts", type=click.Path(path_type=Path))
@click.option(
    "--as-written",
    is_flag=True,
    help="Count transcripts that differ only in their apostrophes as different sentences, like the published lists.",
)
@click.option(
    "--validation-is-test", is_flag=True, help="Do not take validation clips out of the published training split."
)
def splits(transcripts: Path, as_written: bool, validation_is_test: bool) -> None:
    """Count the clips of MEAD's splits in the table TRANSCRIPTS (lines: subject_level_n_emotion_number TRANSCRIPT)."""
    from occlufacediff.commands.splits import run

    run(transcripts, as_written=as_written, validation_is_test=validation_is_test)


@main.command()
@click.argument("results", type=click.Path(path_type=Path))
def summary(results: Path) -> None:
    """Print the results of all runs in RESULTS (results/<dataset>, or the folder of one run)."""
    from occlufacediff.reporting.summary import print_summary

    print_summary(results)


@main.command()
@click.argument("first", type=click.Path(path_type=Path))
@click.argument("second", type=click.Path(path_type=Path))
@click.option("--metric", help="Metric to print; default: the lip vertex error.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="CSV table of all metrics to write.")
def compare(first: Path, second: Path, metric: str | None, out: Path | None) -> None:
    """Compare the evaluations of two runs, FIRST and SECOND, on the same clips.

    Each is the folder of a run, results/<dataset>/runs/<run>, or an evaluation folder.
    """
    from occlufacediff.commands.compare import run

    run(first, second, metric=metric, out=out)


@main.command("export-motions")
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--to",
    "target",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder to write: <occlusion>/<subject>/<clip>.npz.",
)
@click.option("--method", default="ours", show_default=True, help="Method whose motions to write.")
def export_motions(run: Path, target: Path, method: str) -> None:
    """Write the motions of an evaluated RUN as files that another evaluation reads (evaluation.external)."""
    from occlufacediff.commands.export_motions import run as write

    write(run, target, method=method)


if __name__ == "__main__":
    main()
