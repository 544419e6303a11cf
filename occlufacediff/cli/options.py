"""Options that several commands have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from occlufacediff.config.names import BLENDER_FORMATS, BLINKS, EXPORT_FORMATS, SMOOTHING

Command = Callable[..., None]
EXPORTS = f"{', '.join(EXPORT_FORMATS)}; with --blender also {', '.join(BLENDER_FORMATS)}"


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


blinks_option = click.option(
    "--blinks",
    type=click.Choice(BLINKS),
    default="full",
    show_default=True,
    help="Blinks of exported motion: full: they close the eyes; measured: as far as the detector saw them close.",
)

mapping_option = click.option(
    "--arkit-mapping",
    type=click.Path(path_type=Path),
    help="Mapping (.npz) of the coefficients of another head model, such as FLAME, to ARKit weights, for exports.",
)

blender_option = click.option(
    "--blender",
    type=click.Path(path_type=Path),
    help="Blender's program, or a Python with the module bpy; writes the formats fbx and alembic.",
)
