"""The command line: fast start, one-line errors."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from occlufacediff import __version__
from occlufacediff.cli import main
from occlufacediff.commands.predict import visibility_settings


def test_version_and_help() -> None:
    runner = CliRunner()
    assert __version__ in runner.invoke(main, ["--version"]).output
    text = runner.invoke(main, ["predict", "--help"]).output
    for option in (
        "--out",
        "--occlusion",
        "--mask",
        "--occluder",
        "--seed",
        "--device",
        "--checkpoint",
        "--head",
        "--profile",
    ):
        assert option in text


def test_the_package_runs_as_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "occlufacediff", "--version"], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout == f"occlufacediff, version {__version__}\n"


def test_it_starts_without_heavy_imports() -> None:
    code = (
        "import sys, occlufacediff.cli as c\n"
        "heavy = {'torch', 'mediapipe', 'cv2', 'vtkmodules', 'librosa', 'pandas', 'h5py', 'matplotlib'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert time.perf_counter() - start < 5


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["summary", "missing"], "there is no folder missing"),
        (["summary", "."], "there is no file"),
    ],
)
def test_errors_are_one_line_and_status_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert words in result.output
    assert "Traceback" not in result.output
    assert len(result.output.strip().splitlines()) == 1


def test_summary_prints_the_table(tmp_path: Path) -> None:
    (tmp_path / "evaluation").mkdir()
    rows = [("ours", "mouth", "lve", "mm", 2.5, 9), ("neutral", "mouth", "lve", "mm", 4.0, 9)]
    table = pd.DataFrame(rows, columns=["method", "occlusion", "metric", "unit", "mean", "n"])
    table.to_csv(tmp_path / "evaluation" / "metrics.csv", index=False)
    result = CliRunner().invoke(main, ["summary", str(tmp_path)])
    assert result.exit_code == 0
    assert "2.50" in result.output


@pytest.mark.parametrize(
    "arguments",
    [["predict"], ["predict", "a.mp4", "--occlusion", "nose"], ["benchmark"], ["fly"]],
)
def test_wrong_arguments_print_the_usage(arguments: list[str]) -> None:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert "Usage:" in result.output


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--visibility", "segmentation"], "needs a model; give --segmentation"),
        (["--visibility", "masks"], "needs a mask; give --mask"),
        (["--visibility", "none", "--mask", "m.png"], "got a mask and --visibility none"),
        (["--visibility", "auto", "--segmentation", "m.tflite"], "got a model and --visibility auto"),
        (["--visible", "skin"], "needs a segmentation model; give --segmentation"),
    ],
)
def test_sources_of_visibility_that_contradict_are_refused(options: list[str], words: str) -> None:
    result = CliRunner().invoke(main, ["predict", "a.mp4", *options])
    assert result.exit_code == 2
    assert words in result.output.replace("\n", " ")


def test_visibility_is_found_by_default() -> None:
    assert visibility_settings(None, None, None, ()).source == "auto"
    assert visibility_settings(None, Path("m.png"), None, ()).source == "auto"
    assert visibility_settings("masks", Path("m.png"), None, ()).source == "none"
    given = visibility_settings(None, None, Path("m.tflite"), ("skin",))
    assert (given.source, given.model, given.visible) == ("segmentation", "m.tflite", ("skin",))
