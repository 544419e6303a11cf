"""Formats that only Blender writes: FBX and Alembic, by the user's own Blender and a script of this package."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from occlufacediff.errors import AssetError, ConfigError
from occlufacediff.export.formats import FORMATS
from occlufacediff.export.motion import PosedMotion
from occlufacediff.export.resampling import resampled
from occlufacediff.files import written_aside
from occlufacediff.head.asset import HeadAsset

#: Names and suffixes of these formats.
BLENDER_SUFFIXES = {"fbx": ".fbx", "alembic": ".abc"}
SCRIPTS = Path(__file__).with_name("blender")
#: Longest time of a conversion, seconds.
TIMEOUT_S = 1800


def blender_command(blender: Path, script: Path, arguments: list[str]) -> list[str]:
    """Command line that runs a script in Blender, or in a Python that has Blender as the module ``bpy``."""
    if blender.name.startswith("python"):
        return [str(blender), str(script), "--", *arguments]
    options = ["--background", "--factory-startup", "--python-exit-code", "1", "--python", str(script)]
    return [str(blender), *options, "--", *arguments]


def write_by_blender(path: Path, motion: PosedMotion, head: HeadAsset, blender: Path | None, fps: float | None) -> None:
    """Write a motion as FBX or Alembic, as the suffix of ``path`` says.

    Args:
        path: the file.
        motion: T frames.
        head: the head model.
        blender: Blender's program; None is refused.
        fps: frames a second; None: those of the motion.

    Raises:
        ConfigError: no Blender is given, or it cannot be started.
        AssetError: Blender did not write the file.
        StorageError: see `files.written_aside`.
    """
    if blender is None:
        raise ConfigError(f"export {path.suffix[1:]}: needs Blender, which writes this format; give --blender PATH")
    moved = motion if fps is None else resampled(motion, fps)
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "motion.glb"), Path(folder, path.name)
        FORMATS["glb"].write(source, moved, head)
        command = blender_command(blender, SCRIPTS / "convert.py", [str(source), str(target), repr(float(moved.fps))])
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ConfigError(f"--blender {blender}: cannot be run ({error}); give the path of Blender") from error
        if done.returncode != 0 or not target.is_file():
            said = (done.stderr or done.stdout).strip().splitlines() or ["it said nothing"]
            raise AssetError(
                f"--blender {blender}: wrote no {path.suffix} file (status {done.returncode}: {said[-1]}); Blender 4.2 "
                "or later is needed"
            )
        with written_aside(path) as aside:
            shutil.copyfile(target, aside)
