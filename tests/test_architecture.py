"""Imports follow the order of the packages, and networks and training need few dependencies."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "occlufacediff"

#: Packages and modules by layer, lowest first (docs/architecture.md). A package imports itself and lower layers only.
LAYERS = (
    ("errors", "threads", "face_mesh", "frame_blocks"),
    ("device", "worker_processes"),
    ("storage",),
    ("files", "pickles"),
    ("config",),
    ("weights",),
    ("media", "acquire"),
    ("landmarks", "head", "speech"),
    ("occlusion", "models"),
    ("rendering",),
    ("export",),
    ("viewer",),
    ("openhead",),
    ("visibility",),
    ("synthetic",),
    ("readers",),
    ("datasets",),
    ("training",),
    ("evaluation",),
    ("prediction", "reporting"),
    ("benchmark", "live"),
    ("workflow",),
    ("stages",),
    ("commands",),
    ("cli",),
    ("__main__",),
)
LAYER = {package: number for number, packages in enumerate(LAYERS) for package in packages}
#: Packages that GPU machines for training need not have.
ABSENT = ("anny", "av", "cv2", "dask", "librosa", "mediapipe", "pydantic", "pytorch3d", "snakemake", "vtkmodules")


def package_of(module: str) -> str:
    return module.split(".")[1]


def imports_of(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("occlufacediff."):
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name.startswith("occlufacediff."))


def test_every_package_has_a_layer():
    packages = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert packages - {"__init__"} == set(LAYER)


@pytest.mark.parametrize("package", sorted(LAYER, key=LAYER.__getitem__))
def test_packages_import_lower_layers_only(package: str):
    files = sorted((PACKAGE / package).rglob("*.py")) or [PACKAGE / f"{package}.py"]
    wrong = [
        f"{file.relative_to(ROOT)} imports {module}"
        for file in files
        for module in imports_of(file)
        if package_of(module) != package and LAYER[package_of(module)] >= LAYER[package]
    ]
    assert wrong == []


def test_training_and_sampling_need_few_dependencies():
    modules = [
        f"occlufacediff.{name}"
        for name in (
            "models.checkpoint",
            "models.sample",
            "head.model",
            "occlusion.random_masks",
            "training.motion_prior",
            "training.denoiser",
            "stages.train",
        )
    ]
    program = (
        "import sys\n"
        f"sys.modules.update(dict.fromkeys({ABSENT!r}))\n"
        f"for module in {modules!r}:\n    __import__(module)\n"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=False)
    assert result.returncode == 0, result.stderr
