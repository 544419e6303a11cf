"""Formats that only Blender writes: FBX and Alembic, by the user's own Blender and a script of this package."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from occlufacediff.errors import AssetError, ConfigError
from occlufacediff.export.motion import PosedMotion
from occlufacediff.files import written_aside
from occlufacediff.head.asset import HeadAsset

SCRIPTS = Path(__file__).with_name("blender")
#: Longest time of a conversion, seconds.
TIMEOUT_S = 1800


def blender_command(blender: Path, script: Path, arguments: list[str]) -> list[str]:
    """Command line that runs a script in Blender, or in a Python that has Blender as the module ``bpy``."""
    if blender.name.startswith("python"):
        return [str(blender), str(script), "--", *arguments]
    options = ["--background", "--factory-startup", "--python-exit-code", "1", "--python", str(script)]
    return [str(blender), *options, "--", *arguments]


def check_blender(name: str, blender: Path | None) -> Path:
    """Blender's program as an absolute path; it is searched in ``PATH`` if it has no folder.

    Args:
        name: the format that needs it.
        blender: the program; None is refused.

    Raises:
        ConfigError: no program is given, or it does not exist or cannot be run.
    """
    if blender is None:
        raise ConfigError(f"export {name}: needs Blender, which writes this format; give --blender PATH")
    found = shutil.which(blender)
    if found is None:
        raise ConfigError(f"--blender {blender}: is no program that can be run; give the path of Blender's program")
    # Not resolved: a link to a Python is the Python of its own environment.
    return Path(found).absolute()


def write_by_blender(blender: Path, path: Path, motion: PosedMotion, head: HeadAsset) -> None:
    """Write a motion as FBX or Alembic, as the suffix of ``path`` says.

    Args:
        blender: the program of `check_blender`.
        path: the file.
        motion: T frames.
        head: the head model.

    Raises:
        ConfigError: Blender cannot be started, or takes longer than `TIMEOUT_S`.
        AssetError: Blender did not write the file.
        StorageError: see `files.written_aside`.
    """
    from occlufacediff.export.gltf import GltfScene, head_glb

    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "motion.glb"), Path(folder, "motion").with_suffix(path.suffix)
        head_glb(head, [GltfScene(head.name, [motion])]).write(source)
        command = blender_command(blender, SCRIPTS / "convert.py", [str(source), str(target), repr(float(motion.fps))])
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
