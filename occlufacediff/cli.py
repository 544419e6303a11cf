"""The ``occlufacediff`` command. Heavy imports happen inside the commands, so that ``--help`` answers at once."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from occlufacediff import __version__
from occlufacediff.errors import OccluFaceError
from occlufacediff.threads import limit_threads

Command = Callable[..., None]


def model_options(command: Command) -> Command:
    """Give a command the options of what runs the trained model: ``--seed --device --checkpoint --head``."""
    options = (
        click.option(
            "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of all random draws."
        ),
        click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True),
        click.option(
            "--checkpoint",
            type=click.Path(path_type=Path),
            help="Folder with motion_prior/ and denoiser/; default: the open weights that come with the program.",
        ),
        click.option(
            "--head",
            type=click.Path(path_type=Path),
            help="Head model (.npz); default: the open head, built once, "
            "or with --checkpoint the head of that checkpoint in resources/heads.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


class UserErrors(click.Group):
    """Shows an error meant for the user as one red line and exits with status 2."""

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
    """3D facial motion from talking videos in which part of the face is hidden."""
    limit_threads()


@main.command()
@click.argument("video", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("predictions"),
    show_default=True,
    help="Results go to OUT/<stem>/.",
)
@click.option(
    "--occlusion",
    type=click.Choice(["none", "mouth", "upper", "random", "audio_driven"]),
    default="none",
    show_default=True,
    help="What to hide from the network on purpose.",
)
@click.option(
    "--mask",
    type=click.Path(path_type=Path),
    help="What is hidden in the video itself: one picture, a folder with one a frame, or a video; white = hidden.",
)
@click.option(
    "--segmentation",
    type=click.Path(path_type=Path),
    help="What is hidden in the video itself: all that this segmentation model (.tflite) does not call face.",
)
@click.option(
    "--visible",
    multiple=True,
    show_default="face-skin",
    help="Category of the segmentation model that is visible face; may be given several times.",
)
@click.option(
    "--occluder",
    type=click.Path(path_type=Path),
    help="Hide what lies under a picture (square, RGBA, laid over the crop of the face), or under one of a folder's.",
)
@model_options
@click.option("--steps", type=click.IntRange(1, 1000), help="Steps of the sampler; default: 10, as published 100.")
@click.option("--guidance-all", type=float, help="Weight of guidance by all that is given; 1 changes nothing.")
@click.option("--guidance-audio", type=float, help="Weight of guidance by the sound alone; 0 changes nothing.")
@click.option(
    "--as-published",
    is_flag=True,
    help="Sample as published: DDIM, 100 steps, windows side by side, all sound heard, nothing adapted or fitted.",
)
@click.option("--overwrite", is_flag=True, help="Replace results of another video with the same file name.")
@click.option("--profile", is_flag=True, help="Print the time of each step.")
def predict(
    video: Path,
    out: Path,
    occlusion: str,
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
    overwrite: bool,
    profile: bool,
) -> None:
    """Turn VIDEO into facial motion (motion.npz) and a picture of it (animation.mp4)."""
    from occlufacediff.commands.predict import run

    run(
        video,
        out,
        occlusion=occlusion,
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
        overwrite=overwrite,
        profile=profile,
    )


@main.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("results/benchmark"),
    show_default=True,
    help="Folder of the tables; what it holds of the same clips is used again.",
)
@click.option("--quick", is_flag=True, help="Hide the mouth in the middle half of the frames only.")
@click.option("--workers", type=click.IntRange(min=1), default=1, show_default=True, help="Processes.")
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
    """Hide parts of the faces in FOLDER's videos, fill them in by every method, and compare."""
    from occlufacediff.commands.benchmark import run

    run(folder, out, checkpoint=checkpoint, head=head, seed=seed, device=device, workers=workers, quick=quick)


@main.command()
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option(
    "--to",
    "target",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="File to write: .safetensors for a network (its .yaml comes beside it), .npz for a head model.",
)
@click.option(
    "--head-name", help="Name of the head model; default: what FLAME's file name tells, flame2020 for networks."
)
@click.option(
    "--audio-config",
    type=click.Path(path_type=Path),
    help="config.json of the denoiser's wav2vec2, where that is not wav2vec2-base.",
)
@click.option("--embedding", type=click.Path(path_type=Path), help="MediaPipe landmark embedding (.npz), if elsewhere.")
@click.option("--masks", type=click.Path(path_type=Path), help="FLAME_masks.pkl, if elsewhere.")
def convert(
    checkpoint: Path,
    target: Path,
    head_name: str | None,
    audio_config: Path | None,
    embedding: Path | None,
    masks: Path | None,
) -> None:
    """Write the published CHECKPOINT (denoiser .pt, FLINT .ckpt, or FLAME's folder) in this program's format."""
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
@click.argument("results", type=click.Path(path_type=Path))
def summary(results: Path) -> None:
    """Print the results of all runs in RESULTS (results/<dataset>, or the folder of one run)."""
    from occlufacediff.reporting.summary import print_summary

    print_summary(results)


if __name__ == "__main__":
    main()
