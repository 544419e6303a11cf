"""The benchmark from the command to its page on one short clip: failures, reuse of results, names."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from benchmark_setup import FRAMES, inputs_of, weights_for, write_speaking_clip
from click.testing import CliRunner
from PIL import Image

from occlufacediff.cli import main
from occlufacediff.config.benchmark import BENCHMARK_METHODS, BenchmarkSettings
from occlufacediff.speech.phones import Phones
from occlufacediff.speech.recognition import recognise_phones
from occlufacediff.stages.benchmark import run_benchmark
from occlufacediff.stages.benchmark_page import write_page

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("benchmark")]


@pytest.fixture(scope="module")
def head(small_open_head: Path) -> Path:
    """A small open head with the actions of the open weights."""
    return small_open_head


@pytest.fixture(scope="module")
def clips(head: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one clip of a speaking face, named by a number, and a file that is not a video."""
    folder = tmp_path_factory.mktemp("clips")
    write_speaking_clip(folder / "007.mp4", head)
    (folder / "text.mp4").write_text("this is no video")
    return folder


@pytest.fixture(scope="module")
def done(head: Path, clips: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Output folder of the command, and what it printed."""
    out = tmp_path_factory.mktemp("out")
    arguments = ["benchmark", str(clips), "--out", str(out), "--head", str(head), "--device", "cpu", "--quick"]
    arguments += ["--checkpoint", str(weights_for(head))]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    return out, result.output


def test_one_clip_is_enough(done: tuple[Path, str]) -> None:
    out, printed = done
    assert "nan" not in printed.lower()
    assert "Only one clip is usable" in printed
    assert "lip error against linear interpolation: gain " in printed
    assert "failed: text (broken_video: " in printed
    assert "tracebacks" not in printed
    by_clip = pd.read_csv(out / "by_clip.csv", dtype={"clip": str})
    assert set(by_clip["clip"]) == {"007"}
    # There is no other clip whose audio could be used; all other methods have errors.
    lips = by_clip[by_clip["metric"] == "lips_px"].set_index("method")["value"]
    assert set(lips.index) == set(by_clip["method"]) == set(BENCHMARK_METHODS) - {"ours_other_audio"}
    assert np.isfinite(lips).all()
    gains = pd.read_csv(out / "gains.csv")
    assert np.isfinite(gains["gain_percent"]).all()
    assert set(pd.read_csv(out / "groups.csv")["grouped_by"]) == {"source"}
    page = (out / "benchmark.html").read_text(encoding="utf-8")
    shown = re.sub(r"<(style|svg).*?</\1>|(src|poster)=\".*?\"", "", page, flags=re.DOTALL)
    assert page.count("<video") == 1
    assert "best, median, worst: 007, lips" in shown
    assert not re.search(r"\bnan\b", shown, re.IGNORECASE)
    assert "too few clips for groups" in shown


def test_names_that_look_like_missing_values_are_kept(
    done: tuple[Path, str], head: Path, clips: Path, tmp_path: Path
) -> None:
    """The results of the clip under the name ``null`` in a folder ``NA``."""
    out = Path(shutil.copytree(done[0], tmp_path / "out"))
    (tmp_path / "clips" / "NA").mkdir(parents=True)
    shutil.copy(clips / "007.mp4", tmp_path / "clips" / "NA" / "null.mp4")
    for found in ("recordings", "motions"):
        (out / found / "NA").mkdir()
        (out / found / "007.h5").rename(out / found / "NA" / "null.h5")
    names = {"clip": {"007": "NA/null"}, "source": {"007": "NA"}, "group": {"007": "NA"}}
    for table in out.glob("*.csv"):
        pd.read_csv(table, dtype=str, keep_default_na=False).replace(names).to_csv(table, index=False)
    settings = BenchmarkSettings(regions=("mouth",), spans=("middle",))
    write_page(tmp_path / "clips", out, inputs=inputs_of(head, settings))
    page = (out / "benchmark.html").read_text(encoding="utf-8")
    assert "source: NA<" in page
    assert "best, median, worst: NA/null, lips" in page


def test_another_fraction_of_held_out_clips_applies_to_stored_recordings(
    done: tuple[Path, str], head: Path, clips: Path, tmp_path: Path
) -> None:
    out = Path(shutil.copytree(done[0], tmp_path / "out"))
    recorded = (out / "recordings" / "007.h5").stat().st_mtime_ns
    for share, expected in ((0.0, [0.0, np.nan]), (0.999, [1.0, np.nan])):
        settings = BenchmarkSettings(("mouth",), ("middle",), ("interpolation",), held_out=share)
        run_benchmark(clips, out, inputs=inputs_of(head, settings))
        np.testing.assert_array_equal(pd.read_csv(out / "clips.csv")["held_out"], expected)
        assert set(pd.read_csv(out / "means.csv")["part"]) == {"all", "held_out" if share else "open"}
    assert (out / "recordings" / "007.h5").stat().st_mtime_ns == recorded


def test_only_audio_that_a_method_needs_is_analysed(
    done: tuple[Path, str], head: Path, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = Path(shutil.copytree(done[0], tmp_path / "out"))
    two = Path(shutil.copytree(clips, tmp_path / "two"))
    heard = []

    def listen(waveform: np.ndarray) -> Phones:
        heard.append(len(waveform))
        return recognise_phones(waveform)

    def never(waveform: np.ndarray) -> Phones:
        raise AssertionError("the method phone_rules was not requested")

    monkeypatch.setattr("occlufacediff.prediction.hearing.recognise_phones", listen)
    monkeypatch.setattr("occlufacediff.stages.benchmark.recognise_phones", never)
    inputs = inputs_of(head, BenchmarkSettings(("mouth",), ("middle",), ("interpolation",)))
    run_benchmark(clips, out, inputs=inputs)
    assert len(heard) == 1
    motions = (out / "motions" / "007.h5").stat().st_mtime_ns
    # The method with another clip's audio was not requested, so a second clip changes nothing.
    shutil.copy(clips / "007.mp4", two / "008.mp4")
    run_benchmark(two, out, inputs=inputs)
    assert len(heard) == 2
    assert (out / "motions" / "007.h5").stat().st_mtime_ns == motions


def test_a_changed_picture_of_an_occluder_is_used(
    done: tuple[Path, str], head: Path, clips: Path, tmp_path: Path
) -> None:
    out = Path(shutil.copytree(done[0], tmp_path / "out"))
    picture = tmp_path / "occluder.png"
    settings = BenchmarkSettings(("picture",), ("middle",), ("interpolation",), pictures=str(picture))
    hidden = []
    for first in (112, 112, 0):
        pixels = np.zeros((224, 224, 4), np.uint8)
        pixels[first:, :, 3] = 255
        Image.fromarray(pixels).save(picture)
        run_benchmark(clips, out, inputs=inputs_of(head, settings))
        motions = out / "motions" / "007.h5"
        with h5py.File(motions) as file:
            hidden.append((int((file["picture/middle/visible"][FRAMES // 2] == 0).sum()), motions.stat().st_mtime_ns))
    assert hidden[0] == hidden[1]
    assert 100 < hidden[0][0] < hidden[2][0] == 468
