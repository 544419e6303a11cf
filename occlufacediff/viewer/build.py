"""Builds `viewer.js` from `src/` with the pinned npm packages: ``make viewer`` (needs Node.js and npm).

The packages are installed in ``build/viewer`` of the checkout, so that the package's folder has no others' files.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from occlufacediff.errors import AssetError
from occlufacediff.files import written_aside

SOURCES = Path(__file__).resolve().parent
#: Folder of the npm packages.
BUILD = SOURCES.parents[1] / "build" / "viewer"
BUNDLE = SOURCES / "viewer.js"
#: Seconds that npm may take.
PATIENCE = 300


def install_packages(build: Path = BUILD) -> Path:
    """Install the packages of ``package-lock.json`` in ``build`` unless they are there.

    Returns:
        the folder ``node_modules``.

    Raises:
        AssetError: npm is not installed, or it fails, for example without a network.
    """
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        raise AssetError("viewer: Node.js and npm are not installed; install them to build or test the viewer")
    build.mkdir(parents=True, exist_ok=True)
    with (build / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        digest = hashlib.sha256((SOURCES / "package-lock.json").read_bytes()).hexdigest()
        stamp = build / "installed"
        if not stamp.is_file() or stamp.read_text() != digest:
            for name in ("package.json", "package-lock.json"):
                shutil.copy(SOURCES / name, build / name)
            command = [npm, "ci", "--no-audit", "--no-fund", "--loglevel=error"]
            try:
                subprocess.run(command, cwd=build, check=True, capture_output=True, text=True, timeout=PATIENCE)
            except subprocess.CalledProcessError as error:
                raise AssetError(f"viewer: `npm ci` in {build} failed: {error.stderr.strip()[-300:]}") from error
            except subprocess.TimeoutExpired as error:
                raise AssetError(f"viewer: `npm ci` in {build} did not end in {PATIENCE} s; try again") from error
            stamp.write_text(digest)
    return build / "node_modules"


def bundle(packages: Path) -> str:
    """The program with all that it imports, and the licence of three.js before it.

    Args:
        packages: the folder ``node_modules``.

    Raises:
        AssetError: esbuild fails.
    """
    command = [
        str(packages / ".bin" / "esbuild"),
        str(SOURCES / "src" / "viewer.js"),
        "--bundle",
        "--minify",
        "--format=iife",
        "--target=es2020",
        "--legal-comments=inline",
        "--log-level=error",
    ]
    result = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "NODE_PATH": str(packages)}
    )
    if result.returncode != 0:
        raise AssetError(f"viewer: esbuild failed: {result.stderr.strip()[-500:]}")
    licence = (packages / "three" / "LICENSE").read_text(encoding="utf-8").strip()
    notice = f"/*! This file contains three.js, under this licence:\n\n{licence}\n*/\n"
    # Text of a script must not contain the end of its element.
    return notice + result.stdout.replace("</script", "<\\/script")


def main() -> None:
    """Build the program and print its size."""
    text = bundle(install_packages())
    with written_aside(BUNDLE) as aside:
        aside.write_text(text, encoding="utf-8")
    print(f"{BUNDLE}: {len(text.encode()) / 1e3:.0f} kB")


if __name__ == "__main__":
    try:
        main()
    except AssetError as error:
        sys.exit(str(error))
