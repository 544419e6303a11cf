"""Several videos in one call: their list, the rows of the summary, and the target of the workflow."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from occlufacediff.cli import main
from occlufacediff.config.schema import Config
from occlufacediff.errors import AssetError, ClipError, ConfigError
from occlufacediff.prediction.videos import list_videos
from occlufacediff.stages.predict_videos import COLUMNS, join_summaries, predict_one, write_summary
from occlufacediff.workflow.inputs import videos_to_predict

pytestmark = pytest.mark.xdist_group("predict")


def make(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_files_folders_and_tables_are_listed_in_order(tmp_path: Path) -> None:
    make(tmp_path / "b/z.MP4", tmp_path / "b/deep/a.mkv", tmp_path / "b/.hidden/c.mp4", tmp_path / "b/notes.txt")
    table = tmp_path / "list.csv"
    table.write_text("video,comment\nb/z.MP4,again\n ü {1}.mp4,\n", encoding="utf-8-sig")
    listed = list_videos([tmp_path / "first.mp4", tmp_path / "b", table])
    assert listed == {
        "first": tmp_path / "first.mp4",
        "a": tmp_path / "b/deep/a.mkv",
        "z": tmp_path / "b/z.MP4",
        " ü {1}": tmp_path / " ü {1}.mp4",
    }


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "contains no video"),
        ("file\na.mp4\n", "has no column 'video'"),
        ("video\n", "has no row"),
        ("video,x\na.mp4,\n ,y\n", "line 3: got no path"),
        (b"video\n\xff.mp4\n", "cannot be read"),
        ("video\nx/talk.mp4\ny/talk.mov\n", "have the same result folder 'talk'; rename"),
        ("video\nsummary.csv.mp4\n", "cannot name a result folder"),
    ],
)
def test_wrong_lists_are_refused_by_one_message(tmp_path: Path, content: str | bytes | None, words: str) -> None:
    path = tmp_path / "list.csv"
    if content is None:
        path = tmp_path / "empty"
        path.mkdir()
    else:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError, match=words) as error:
        list_videos([path])
    assert "\n" not in str(error.value)


def test_the_workflow_lists_folders_and_tables_only_and_refuses_braces(tmp_path: Path) -> None:
    make(tmp_path / "in/a b.mp4")
    assert videos_to_predict(replace(Config(), video=str(tmp_path / "in/a b.mp4"))) == {}
    assert videos_to_predict(Config()) == {}
    assert videos_to_predict(replace(Config(), video=str(tmp_path / "in"))) == {"a b": str(tmp_path / "in/a b.mp4")}
    make(tmp_path / "in/c{1}.mp4")
    with pytest.raises(ConfigError, match=r"c\{1\}.*rename"):
        videos_to_predict(replace(Config(), video=str(tmp_path / "in")))


def test_failures_are_rows_and_faults_of_all_videos_are_not() -> None:
    def failing(error: Exception) -> Callable[[], None]:
        def predict() -> None:
            raise error

        return predict

    video = Path("talk.mp4")
    row = predict_one("talk", video, failing(ClipError("no_face", "talk.mp4: no\nface")))  # type: ignore[arg-type]
    assert (row["status"], row["reason"], row["message"]) == ("failed", "no_face", "talk.mp4: no face")
    row = predict_one("talk", video, failing(ConfigError("other results")))  # type: ignore[arg-type]
    assert (row["reason"], row["message"]) == ("refused", "other results")
    row = predict_one("talk", video, failing(KeyError("x")))  # type: ignore[arg-type]
    assert (row["reason"], row["message"]) == ("unexpected_error", "KeyError: 'x'")
    with pytest.raises(AssetError):
        predict_one("talk", video, failing(AssetError("no checkpoint")))  # type: ignore[arg-type]


def test_summaries_are_joined_in_order(tmp_path: Path) -> None:
    for name in ("b, c", "a"):
        write_summary(tmp_path / f"{name}.csv", [{"video": name, "status": "ok"}])
    join_summaries([tmp_path / "b, c.csv", tmp_path / "a.csv"], tmp_path / "all.csv")
    assert [row["video"] for row in rows_of(tmp_path / "all.csv")] == ["b, c", "a"]
    assert tuple(rows_of(tmp_path / "all.csv")[0]) == COLUMNS


@pytest.mark.slow
def test_one_failure_stops_nothing(folder: Path, tmp_path: Path) -> None:
    videos = tmp_path / "videos"
    videos.mkdir()
    for source, name in (("talk", "a [b] ü {1}"), ("nobody", "nobody"), ("text", "text"), ("mute", "z")):
        shutil.copy(folder / f"{source}.mp4", videos / f"{name}.mp4")
    options = ["--out", str(tmp_path / "out"), "--device", "cpu", "--checkpoint", str(folder / "models")]
    options += ["--head", str(folder / "head.npz"), "--export", "glb", "--fps", "video", "--no-viewer"]
    result = CliRunner().invoke(main, ["predict", str(videos), str(tmp_path / "gone.mp4"), *options])
    assert result.exit_code == 1, result.output
    assert "3 of 5 videos failed" in result.output
    rows = rows_of(tmp_path / "out/summary.csv")
    assert [row["video"] for row in rows] == ["a [b] ü {1}", "nobody", "text", "z", "gone"]
    assert [row["status"] for row in rows] == ["ok", "failed", "failed", "ok", "failed"]
    assert [row["reason"] for row in rows] == ["", "no_face", "broken_video", "", "no_video"]
    first = rows[0]
    assert (first["seconds"], first["frames"], first["face"], first["exports"]) == ("1.04", "26", "1.000", "glb")
    assert 0 <= float(first["hidden_mouth"]) <= 1
    assert all(row["message"] for row in rows if row["status"] == "failed")
    with np.load(tmp_path / "out/a [b] ü {1}/motion.npz") as motion:
        assert (float(motion["video_fps"]), len(motion["exp"])) == (25, 26)
    assert (tmp_path / "out/z/motion.glb").is_file()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a [b] ü {1}", "summary.csv", "z"]
    # All of them at once: nothing failed.
    result = CliRunner().invoke(main, ["predict", str(videos / "z.mp4"), str(folder / "talk.mp4"), *options])
    assert result.exit_code == 0, result.output


def test_a_mask_belongs_to_one_video(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["predict", "a.mp4", "b.mp4", "--mask", "c.png", "--out", str(tmp_path)])
    assert result.exit_code == 2
    assert "--mask: got a mask together with several videos" in result.output
