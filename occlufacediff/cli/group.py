"""The group of all commands, and how it reports errors."""

from __future__ import annotations

import sys
from typing import Any

import click

from occlufacediff import __version__
from occlufacediff.errors import OccluFaceError
from occlufacediff.threads import limit_threads


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
