"""Every fault of the data ends as a usable clip or with its one reason: all subjects, stage by stage."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from good_archives import SECONDS, write_good_archives
from make_faulty_archives import PEOPLE, main, make_faulty

from occlufacediff.config.audio import AudioSettings
from occlufacediff.config.crop import CropSettings
from occlufacediff.config.landmarks import LandmarkSettings
from occlufacediff.config.split import SplitPart, SplitSettings
from occlufacediff.config.video import VideoSettings
from occlufacediff.reporting.failures import REASONS
from occlufacediff.stages.acquire import unpack_subject
from occlufacediff.stages.audio import extract_subject
from occlufacediff.stages.crop import crop_subject
from occlufacediff.stages.landmarks import detect_subject
from occlufacediff.stages.manifest import build_manifest
from occlufacediff.stages.video import convert_subject

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("faulty_archives")]

SPLIT = SplitSettings(rule="mead", validation=SplitPart(["M034"], ["28"]))


@dataclass(frozen=True)
class Run:
    """Faulty archives and what the stages made of them."""

    archives: Path
    root: Path
    table: pd.DataFrame
    expected: pd.DataFrame

    def row(self, subject: str, clip: str) -> pd.Series:
        """One row of the manifest."""
        found = self.table[(self.table["subject"] == subject) & (self.table["clip"] == clip)]
        assert len(found) == 1, (subject, clip)
        return found.iloc[0]


def preprocess(subject: str, archives: Path, root: Path) -> None:
    """All stages from archives to the clip store, in this process."""
    raw, video = root / "raw" / subject, root / "video" / subject
    files = {kind: root / kind / subject for kind in ("audio", "landmarks", "clips")}
    tars = [path if path.is_file() else None for path in (archives / "video.tar", archives / "audio.tar")]
    unpack_subject(subject, *tars, raw, raw / "index.csv", view="front")
    convert_subject(
        subject, raw, raw / "index.csv", video, video / "index.csv", settings=VideoSettings(preset="ultrafast")
    )
    sound = files["audio"]
    extract_subject(
        subject, raw, raw / "index.csv", sound.with_suffix(".h5"), sound.with_suffix(".csv"), settings=AudioSettings()
    )
    landmarks = files["landmarks"]
    detect_subject(
        subject,
        video,
        video / "index.csv",
        landmarks.with_suffix(".h5"),
        landmarks.with_suffix(".csv"),
        settings=LandmarkSettings(static=False, max_faces=1),
    )
    clips = files["clips"]
    crop_subject(
        subject,
        video,
        video / "index.csv",
        landmarks.with_suffix(".h5"),
        clips.with_suffix(".h5"),
        clips.with_suffix(".csv"),
        settings=CropSettings(),
    )


def read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype=str, keep_default_na=False)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """All faulty subjects, preprocessed. Not to be changed."""
    folder = tmp_path_factory.mktemp("faults")
    archives = folder / 'it\'s a "faulty" MÉAD'
    make_faulty(write_good_archives(folder / "good"), archives)
    root = folder / "results"
    names = [person.name for person in PEOPLE]
    for name in names:
        preprocess(name, archives / name, root)
    indices = {stage: [root / stage / name / "index.csv" for name in names] for stage in ("raw", "video")}
    indices |= {stage: [root / stage / f"{name}.csv" for name in names] for stage in ("audio", "landmarks", "clips")}
    tables = sorted(archives.glob("*/sentences.csv"))
    build_manifest(indices, tables, root / "manifest.csv", settings=SPLIT)
    yield Run(archives, root, read(root / "manifest.csv"), read(archives / "expected.csv"))


def test_every_clip_ends_as_usable_or_with_its_one_reason(run: Run) -> None:
    wanted = {(row.subject, row.clip): (row.status, row.reason) for row in run.expected.itertuples()}
    failed = run.table["status"] == "failed"
    reasons = run.table["reason"].where(failed, "")
    found = dict(
        zip(
            zip(run.table["subject"], run.table["clip"], strict=True),
            zip(run.table["status"], reasons, strict=True),
            strict=True,
        )
    )
    assert found == wanted
    assert (run.table.loc[failed, "message"] != "").all()
    assert (run.table.loc[failed, "split"] == "").all()
    assert set(run.table["reason"]) - {""} <= set(REASONS)


def test_usable_clips_have_pictures_sound_and_landmarks_of_one_length(run: Run) -> None:
    good = run.table[run.table["status"] == "ok"]
    assert len(good) >= 17
    for row in good.itertuples():
        with h5py.File(run.root / "audio" / f"{row.subject}.h5") as sound:
            with h5py.File(run.root / "clips" / f"{row.subject}.h5") as clips:
                frames = len(clips[row.clip]["landmarks"])
                assert np.isfinite(clips[row.clip]["landmarks"][()]).all(), row.clip
            assert sound[row.clip]["waveform"].shape == (frames * 640,), row.clip
        assert str(frames) == row.frames
        seconds = 17.0 if row.subject == "M034" else SECONDS
        assert abs(frames / 25 - seconds) <= 0.04, (row.clip, frames)


def test_what_is_known_of_faults_that_do_not_stop_a_clip(run: Run) -> None:
    assert run.row("M009", "fear/level_1/002")["video_source_pixel_format"] == "yuv444p"
    third = run.row("M009", "sad/level_1/002")
    assert abs(int(third["landmarks_frames_found"]) / int(third["frames"]) - 1 / 3) < 0.06
    assert int(third["clips_frames_interpolated"]) == int(third["frames"]) - int(third["landmarks_frames_found"])
    assert run.row("M009", "angry/level_1/005")["audio_silent"] == "1"
    assert run.row("M009", "angry/level_1/007")["audio_source"] == "video"
    fallback = run.row("M009", "angry/level_1/009")
    assert (fallback["audio_source"], fallback["split"]) == ("video", "test")
    assert "009.m4a" in fallback["message"] and "the video's own audio is used" in fallback["message"]
    short, long = (int(run.row("M009", f"angry/level_1/00{n}")["audio_samples_added"]) for n in (1, 2))
    # 0.3 s of 16 kHz, and up to some frames of AAC.
    assert 3000 < short < 6500 and -6500 < long < -3000


def test_the_split_goes_by_the_sentence_spoken(run: Run) -> None:
    shifted = run.table[run.table["subject"] == "M003"].set_index("clip")
    assert shifted["sentence_id"].to_dict() == {"happy/level_1/011": "9", "happy/level_1/012": "10"}
    assert shifted["split"].to_dict() == {"happy/level_1/011": "test", "happy/level_1/012": "unused"}
    assert run.row("M034", "fear/level_3/028")["split"] == "validation"


def test_the_command_writes_the_same_archives_again(run: Run, tmp_path: Path) -> None:
    good = write_good_archives(tmp_path / "good", clips=1)
    for out in ("one", "two"):
        result = CliRunner().invoke(main, [str(good), str(tmp_path / out)])
        assert result.exit_code == 0, result.output
    assert f"{len(PEOPLE)} subjects" in result.output
    for path in sorted((tmp_path / "one").rglob("*.*")):
        assert path.read_bytes() == (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_bytes(), path
    with (tmp_path / "one" / "expected.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == len(run.expected)
    refused = CliRunner().invoke(main, [str(good), str(tmp_path / "one")])
    assert refused.exit_code != 0 and "not empty" in refused.output
    (tmp_path / "nothing").mkdir()
    refused = CliRunner().invoke(main, [str(tmp_path / "nothing"), str(tmp_path / "three")])
    assert refused.exit_code != 0 and "snakemake acquire" in refused.output
