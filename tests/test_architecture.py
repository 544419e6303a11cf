"""Imports run one way, from the rooms at the bottom up, and networks and training need no heavy companion."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "occlufacediff"

#: Rooms from the bottom up, as in docs/architecture.md; a room imports itself and rooms of lower floors only.
FLOORS = (
    ("errors", "threads", "face_mesh"),
    ("device",),
    ("storage",),
    ("files", "pickles", "weights"),
    ("config",),
    ("media", "acquire"),
    ("landmarks", "head", "speech"),
    ("occlusion", "models"),
    ("rendering",),
    ("openhead",),
    ("synthetic",),
    ("datasets",),
    ("training",),
    ("evaluation",),
    ("prediction", "reporting"),
    ("benchmark",),
    ("workflow",),
    ("stages",),
    ("commands",),
    ("cli",),
    ("__main__",),
)
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
#: What a bare machine with a GPU lacks.
ABSENT = ("anny", "av", "cv2", "dask", "librosa", "mediapipe", "pydantic", "pytorch3d", "snakemake", "vtkmodules")


def room_of(module: str) -> str:
    return module.split(".")[1]


def imports_of(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("occlufacediff."):
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name.startswith("occlufacediff."))


def test_every_room_has_a_floor():
    rooms = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert rooms - {"__init__"} == set(FLOOR)


@pytest.mark.parametrize("room", sorted(FLOOR, key=FLOOR.__getitem__))
def test_imports_run_one_way(room: str):
    files = sorted((PACKAGE / room).rglob("*.py")) or [PACKAGE / f"{room}.py"]
    wrong = [
        f"{file.relative_to(ROOT)} imports {module}"
        for file in files
        for module in imports_of(file)
        if room_of(module) != room and FLOOR[room_of(module)] >= FLOOR[room]
    ]
    assert wrong == []


def test_training_and_sampling_run_on_a_bare_machine():
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
