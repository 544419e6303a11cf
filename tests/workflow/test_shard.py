"""The shard runner: order, failures as rows, parts that survive, and no orphans."""

from __future__ import annotations

import errno
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from occlufacediff.config.crop import CropSettings
from occlufacediff.errors import AssetError, ClipError, ConfigError, OccluFaceError
from occlufacediff.files import written_aside
from occlufacediff.storage import StorageError
from occlufacediff.workflow import dask_workers
from occlufacediff.workflow.shards import (
    key,
    part_path,
    read_index,
    remove_parts,
    run_shard,
    usable,
    write_index,
)

CLIPS = [f"happy/level_{n % 3 + 1}/{n:03d}" for n in range(7)]


def work(log: Path, clip: str, part: Path) -> dict[str, object]:
    with log.open("a") as file:
        file.write(f"{clip}\n")
    if clip.endswith("003"):
        raise ClipError("no_face", f"{clip}: nobody\nthere")
    with written_aside(part) as aside:
        aside.write_text(clip)
    return {"frames": len(clip)}


def broken(clip: str, part: Path) -> dict[str, object]:
    if clip.endswith("002"):
        raise RuntimeError("a fault of the program")
    part.write_text(clip)
    return {}


def run(parts: Path, log: Path, workers: int = 1, made_from: str = "a") -> list[dict[str, object]]:
    return run_shard(CLIPS, partial(work, log), parts, lambda clip: key(clip, made_from), workers=workers)


@pytest.mark.parametrize("workers", [1, 2])
def test_rows_in_order_with_failures_and_finished_clips_kept(tmp_path: Path, workers: int) -> None:
    parts, log = tmp_path / "parts", tmp_path / "log"
    rows = run(parts, log, workers)
    assert [row["clip"] for row in rows] == CLIPS
    assert [row["reason"] for row in rows] == ["", "", "", "no_face", "", "", ""]
    assert rows[3]["message"] == f"{CLIPS[3]}: nobody there"
    assert rows[0]["frames"] == len(CLIPS[0])
    assert len(log.read_text().splitlines()) == 7

    assert run(parts, log, workers) == rows
    assert len(log.read_text().splitlines()) == 7

    part_path(parts, CLIPS[1]).unlink()
    (parts / f"{CLIPS[2]}.json").write_text("{cut off")
    assert run(parts, log, workers) == rows
    assert sorted(log.read_text().splitlines()[7:]) == sorted([CLIPS[1], CLIPS[2]])

    run(parts, log, workers, made_from="b")
    assert len(log.read_text().splitlines()) == 16
    remove_parts(parts)
    assert not parts.exists()


@pytest.mark.parametrize("workers", [1, 2])
def test_an_unforeseen_error_fails_one_clip_and_is_tried_again(
    tmp_path: Path, workers: int, caplog: pytest.LogCaptureFixture
) -> None:
    rows = run_shard(CLIPS, broken, tmp_path, key, workers=workers)
    assert [row["status"] for row in rows] == ["ok", "ok", "failed", "ok", "ok", "ok", "ok"]
    assert (rows[2]["reason"], rows[2]["message"]) == ("unexpected_error", "RuntimeError: a fault of the program")
    assert f"{CLIPS[2]} failed:" in caplog.text
    assert "Traceback" in caplog.text
    assert not part_path(tmp_path, CLIPS[2]).exists()
    again = run_shard(CLIPS, partial(work, tmp_path / "log"), tmp_path, key, workers=workers)
    assert (tmp_path / "log").read_text().splitlines() == [CLIPS[2]]
    assert [row["status"] for row in again] == ["ok"] * 7


def never(clip: str, part: Path) -> dict[str, object]:
    raise KeyError(clip)


@pytest.mark.parametrize("workers", [1, 2])
def test_an_unforeseen_error_of_every_clip_ends_the_stage_and_keeps_the_rows(
    tmp_path: Path, workers: int, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(OccluFaceError, match=r"all 7 clips failed with an unexpected error.*KeyError.*tracebacks"):
        run_shard(CLIPS, never, tmp_path, key, workers=workers)
    assert len(list(tmp_path.rglob("*.json"))) == 7
    assert caplog.text.count("Traceback") == 7


def test_an_unforeseen_error_of_the_only_clip_is_a_row(tmp_path: Path) -> None:
    (row,) = run_shard(CLIPS[:1], never, tmp_path, key)
    assert row["reason"] == "unexpected_error"


def lost(error: Exception, clip: str, part: Path) -> dict[str, object]:
    if clip.endswith("002"):
        raise error
    part.write_text(clip)
    return {}


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (ConfigError("a key"), ConfigError),
        (AssetError("a head"), AssetError),
        (OSError(errno.ENOSPC, "no space"), StorageError),
    ],
)
def test_errors_that_concern_all_clips_end_the_shard(tmp_path: Path, error: Exception, raised: type[Exception]) -> None:
    with pytest.raises(raised):
        run_shard(CLIPS, partial(lost, error), tmp_path, key)
    finished = {path.with_suffix("") for path in tmp_path.rglob("*.json")}
    assert finished == {tmp_path / clip for clip in CLIPS[:2]}


def test_a_running_dask_scheduler_does_the_same(tmp_path: Path) -> None:
    from distributed import LocalCluster

    with LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None) as cluster:
        rows = run_shard(
            CLIPS,
            partial(work, tmp_path / "log"),
            tmp_path / "there",
            key,
            scheduler=cluster.scheduler_address,
        )
    here = run_shard(CLIPS, partial(work, tmp_path / "log"), tmp_path / "here", key)
    assert rows == here


SLOW = """
import sys, time
from pathlib import Path
from occlufacediff.workflow.shards import run_shard, key

def slow(clip, part):
    if clip != "a":
        time.sleep(60)
    part.write_text(clip)
    return {}

run_shard(["a", "b", "c"], slow, Path(sys.argv[1]), key, workers=2)
"""


def test_killed_shard_keeps_finished_clips_and_leaves_no_worker(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", SLOW, str(tmp_path)], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 30
    while not (tmp_path / "a.json").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert (tmp_path / "a.json").exists()
    assert not (tmp_path / "b.json").exists()
    assert children
    while any(Path(f"/proc/{child}").exists() for child in children) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(Path(f"/proc/{child}").exists() for child in children)


def test_key_tells_settings_apart() -> None:
    assert key("a", CropSettings()) == key("a", CropSettings())
    assert key("a", CropSettings()) != key("a", CropSettings(scale=1.5))
    assert key("a") != key("b")


def test_index_round_trip_and_faults(tmp_path: Path) -> None:
    rows = [
        {"clip": "a/b/1", "status": "ok", "reason": "", "message": "", "frames": 3},
        {"clip": "a/b/2", "status": "failed", "reason": "no_face", "message": 'a "b", c'},
    ]
    write_index(tmp_path / "index.csv", rows, ["frames"])
    back = read_index(tmp_path / "index.csv")
    assert back[0]["frames"] == "3"
    assert back[1] == {**rows[1], "frames": ""}
    assert [row["clip"] for row in usable(back)] == ["a/b/1"]
    (tmp_path / "other.csv").write_text("x,y\n1,2\n")
    for name in ("other.csv", "none.csv"):
        with pytest.raises(AssetError, match=name):
            read_index(tmp_path / name)
    write_index(tmp_path / "none.csv", [])
    assert read_index(tmp_path / "none.csv") == []


def film(log: Path, clip: str, part: Path) -> dict[str, object]:
    part.with_suffix(".mp4").write_text(f"picture of {clip}")
    return work(log, clip, part)


def test_files_beside_a_part_belong_to_a_finished_clip(tmp_path: Path) -> None:
    parts, log = tmp_path / "parts", tmp_path / "log"

    def run_films() -> list[dict[str, object]]:
        return run_shard(CLIPS, partial(film, log), parts, lambda clip: key(clip), beside=(".mp4",))

    rows = run_films()
    assert not part_path(parts, CLIPS[3], ".mp4").exists()
    part_path(parts, CLIPS[1], ".mp4").unlink()
    part_path(parts, CLIPS[2], ".mp4").write_text("cut off")
    assert run_films() == rows
    assert log.read_text().splitlines()[7:] == [CLIPS[1], CLIPS[2]]
    assert part_path(parts, CLIPS[2], ".mp4").read_text() == f"picture of {CLIPS[2]}"


def test_all_files_written_elsewhere_are_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another machine's file is seen late, as on a network disk; the workers are this process."""
    parts, clips = tmp_path / "parts", CLIPS[:2]
    late, hidden = part_path(parts, clips[1], ".mp4"), tmp_path / "not yet seen"
    timers: list[threading.Timer] = []

    def here(do: Callable[[object], object], items: dict[str, object], *_: object, **__: object) -> None:
        for item in items.values():
            do(item)
        late.rename(hidden)
        timers.append(threading.Timer(0.7, hidden.rename, [late]))
        timers[0].start()

    monkeypatch.setattr(dask_workers, "run_elsewhere", here)
    options = {"scheduler": "tcp://127.0.0.1:1", "beside": (".mp4",)}
    rows = run_shard(clips, partial(film, tmp_path / "log"), parts, lambda clip: key(clip), **options)
    assert [row["status"] for row in rows] == ["ok", "ok"]
    assert late.is_file()
    timers[0].join()
