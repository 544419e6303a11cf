"""The built package is complete: `predict` works with it outside the checkout, with the base dependencies only."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from declared import ROOT, installed_by
from skimage import data

from occlufacediff.media.encode import VideoWriter

pytestmark = pytest.mark.xdist_group("wheel")

HELPER = Path(__file__).with_name("allowed_only.py")
COMMAND = "from occlufacediff.cli import main; main()"


def _run(*command: str, cwd: Path, **environment: str) -> str:
    answer = subprocess.run(
        command, cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, (answer.stdout + answer.stderr)[-3000:]
    return answer.stdout


def _package_files() -> set[str]:
    files = (path.relative_to(ROOT) for path in (ROOT / "occlufacediff").rglob("*") if path.is_file())
    return {str(path) for path in files if "__pycache__" not in path.parts}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the source distribution."""
    folder = tmp_path_factory.mktemp("build")
    for name in [*_package_files(), "pyproject.toml", "README.md", "LICENSE"]:
        target = folder / "source" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((ROOT / name).read_bytes())
    build = "from setuptools import build_meta; build_meta.build_{}({!r})"
    _run(sys.executable, "-c", build.format("sdist", str(folder)), cwd=folder / "source")
    with tarfile.open(next(folder.glob("*.tar.gz"))) as archive:
        archive.extractall(folder / "unpacked", filter="data")
    unpacked = next((folder / "unpacked").iterdir())
    _run(sys.executable, "-c", build.format("wheel", str(folder)), cwd=unpacked)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the installed wheel, without its dependencies."""
    folder = tmp_path_factory.mktemp("installed")
    options = ["--quiet", "--no-deps", "--no-index", "--no-compile", "--target", str(folder)]
    _run(sys.executable, "-m", "pip", "install", *options, str(wheel), cwd=folder)
    return folder


def test_every_file_of_the_package_is_in_the_wheel(wheel: Path):
    with zipfile.ZipFile(wheel) as archive:
        found = {name for name in archive.namelist() if not name.split("/")[0].endswith(".dist-info")}
    assert found == _package_files()


def test_the_wheel_has_no_path_to_the_checkout(wheel: Path):
    with zipfile.ZipFile(wheel) as archive:
        assert [name for name in archive.namelist() if str(ROOT).encode() in archive.read(name)] == []


def test_the_wheel_has_licence_and_command(wheel: Path):
    with zipfile.ZipFile(wheel) as archive:
        texts = {
            name.split("/", 1)[1]: archive.read(name).decode() for name in archive.namelist() if "dist-info" in name
        }
    assert "Apache License" in texts["licenses/LICENSE"]
    assert "occlufacediff = occlufacediff.cli:main" in texts["entry_points.txt"]
    assert "Provides-Extra: workflow" in texts["METADATA"]


@pytest.mark.slow
def test_predict_works_outside_the_checkout_with_base_dependencies(installed: Path, tmp_path: Path):
    allowed = tmp_path / "allowed.json"
    allowed.write_text(json.dumps(sorted(installed_by())))
    photograph = data.astronaut()
    tone = 0.3 * np.sin(np.arange(26 * 640) / 16000 * 2 * np.pi * 220).astype(np.float32)
    with VideoWriter(tmp_path / "talk.mp4", 25, (240, 240), audio=tone) as writer:
        for number in range(26):
            writer.write(np.ascontiguousarray(photograph[:240, 100 + number // 3 : 340 + number // 3]))
    environment = {"PYTHONPATH": str(installed), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    place = "import occlufacediff; print(occlufacediff.__file__)"
    assert str(installed) in _run(sys.executable, str(HELPER), str(allowed), place, cwd=tmp_path, **environment)
    arguments = ["predict", "talk.mp4", "--out", "out", "--occlusion", "mouth", "--device", "cpu"]
    _run(sys.executable, str(HELPER), str(allowed), COMMAND, *arguments, cwd=tmp_path, **environment)
    with np.load(tmp_path / "out" / "talk" / "motion.npz") as motion:
        assert len(motion["exp"]) == 26
        assert np.isfinite(motion["exp"]).all()
    assert (tmp_path / "out" / "talk" / "animation.mp4").stat().st_size > 1000
