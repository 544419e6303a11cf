"""The ``occlufacediff`` command. Heavy imports are inside the commands, so that ``--help`` is fast."""

from occlufacediff.cli import motion as motion
from occlufacediff.cli import studies as studies
from occlufacediff.cli.group import main as main
