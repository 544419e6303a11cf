"""Full disks, read-only folders, files that vanish: one clear error, nothing half written; the next run finishes."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
from machine_faults import digests, errors_in, small_disk
from tiny_tree import Tree

from occlufacediff.errors import ClipError, OccluFaceError
from occlufacediff.files import written_aside
from occlufacediff.storage import StorageError, storage_error
from occlufacediff.workflow.shards import key, run_shard

SUBJECT, OTHER = "M101", "M102"

#: Writes a megabyte in every way the program writes, in a process of its own: HDF5 used to crash at its end.
WRITERS = """
import json, resource, sys
from pathlib import Path
import numpy as np, torch
from safetensors.torch import save_file
from occlufacediff.files import new_hdf5, written_aside
from occlufacediff.media.encode import VideoWriter

folder, limit = Path(sys.argv[1]), int(sys.argv[2])
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
noise = np.random.default_rng(0)

def hdf5():
    with new_hdf5(folder / "a.h5") as file:
        for n in range(1500):
            file[f"happy/{n}/x"] = noise.random(100)
def tensors():
    with written_aside(folder / "a.safetensors") as aside:
        save_file({"a": torch.zeros(1 << 18)}, aside)
def state():
    with written_aside(folder / "a.pt") as aside:
        torch.save({"a": torch.zeros(1 << 18)}, aside)
def text():
    with written_aside(folder / "a.csv") as aside:
        aside.write_text("x" * (1 << 20))
def video():
    with VideoWriter(folder / "a.mp4", 25, (256, 256)) as writer:
        for _ in range(30):
            writer.write(noise.integers(0, 255, (256, 256, 3)).astype(np.uint8))

said = {}
for write in (hdf5, tensors, state, text, video):
    try:
        write()
        said[write.__name__] = "written"
    except Exception as error:
        said[write.__name__] = f"{type(error).__name__}: {error}"
    said[write.__name__] += f" left: {[path.name for path in folder.iterdir()]}"
print(json.dumps(said))
"""


def _write(folder: Path, limit: int) -> dict[str, str]:
    done = subprocess.run(
        [sys.executable, "-c", WRITERS, str(folder), str(limit)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Exception ignored" not in done.stderr
    said: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    assert len(said) == 5
    return said


@pytest.mark.slow
def test_every_writer_says_that_the_disk_is_full(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "300k") as disk:
        for name, text in _write(disk.folder, 0).items():
            assert re.fullmatch(
                rf"StorageError: {disk.folder}/a\.\w+: .*the disk is full; free some .* left: \[\]", text
            ), (
                name,
                text,
            )


@pytest.mark.slow
def test_every_writer_says_that_files_may_not_be_larger(tmp_path: Path) -> None:
    for name, text in _write(tmp_path, 300_000).items():
        wanted = rf"StorageError: {tmp_path}/a\.\w+: .*limit on the size of files.* left: \[\]"
        assert re.fullmatch(wanted, text), (name, text)


def test_what_killed_processes_left_is_removed_and_what_others_write_is_not(tmp_path: Path) -> None:
    with written_aside(tmp_path / "a.csv") as mine:
        dead = tmp_path / re.sub(r"-\d+-", "-4194303999-", mine.name)
        dead.touch()
        foreign = tmp_path / re.sub(r"\.[0-9a-f]{12}-", f".{'0' * 12}-", dead.name)
        foreign.touch()
        with written_aside(tmp_path / "a.csv") as again:
            again.write_text("x")
        assert mine.exists() and foreign.exists() and not dead.exists()
        mine.write_text("y")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["a.csv", foreign.name])
    assert (tmp_path / "a.csv").read_text() == "y"


def test_what_a_process_left_that_died_while_its_successor_wrote_is_removed(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as dying:
        with written_aside(tmp_path / "a.csv") as mine:
            start = Path(f"/proc/{dying.pid}/stat").read_text().split()[21]
            left = tmp_path / re.sub(r"-\d+-\d+-", f"-{dying.pid}-{start}-", mine.name)
            left.touch()
            mine.write_text("x")
            dying.kill()
            # Dead, but nobody has asked after it.
            while Path(f"/proc/{dying.pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
                time.sleep(0.01)
        assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]


def test_what_cannot_be_removed_does_not_hide_that_the_file_was_written(tmp_path: Path) -> None:
    with written_aside(tmp_path / "a.csv") as mine:
        (tmp_path / re.sub(r"-\d+-", "-4194303999-", mine.name)).mkdir()
        mine.write_text("x")
    assert (tmp_path / "a.csv").read_text() == "x"


def test_other_errors_stay_what_they_are(tmp_path: Path) -> None:
    for error in (ValueError("x"), ClipError("no_face", "x"), KeyError("errno = 5")):
        with pytest.raises(type(error)), written_aside(tmp_path / "a.csv"):
            raise error
    assert storage_error(ValueError("nothing to do with a disk")) is None
    # Raised from itself, so its causes have no end.
    with pytest.raises(OSError, match="name too long") as endless, written_aside(tmp_path / ("x" * 300)) as aside:
        aside.touch()
    assert storage_error(endless.value) is None
    assert list(tmp_path.iterdir()) == []


def _read(folder: Path, lost: str, clip: str, part: Path) -> dict[str, object]:
    """A clip's work; while one is done the mount with all the sources goes, and the others begin after that."""
    if clip == lost:
        folder.rename(folder.with_name("away"))
        part.write_text(clip)
        return {}
    for _ in range(1000 if lost else 0):
        if not folder.exists():
            break
        time.sleep(0.01)
    if not (folder / clip).exists():
        raise ClipError("no_video", f"{folder / clip}: no such file")
    part.write_text(clip)
    return {}


@pytest.mark.parametrize("workers", [1, 2])
def test_a_lost_mount_does_not_turn_clips_into_failures(tmp_path: Path, workers: int) -> None:
    sources, parts = tmp_path / "raw", tmp_path / "parts"
    sources.mkdir()
    for clip in "abc":
        (sources / clip).touch()

    def run(lost: str) -> list[dict[str, object]]:
        return run_shard(
            "abc", partial(_read, sources, lost), parts, key, inputs=lambda clip: [sources / clip], workers=workers
        )

    with pytest.raises(
        StorageError, match=r"raw/[abc]: does not exist, although an earlier stage wrote it; .*mount it again"
    ):
        run("a")
    assert {path.name for path in parts.glob("*.json")} == {"a.json"}
    with pytest.raises(StorageError, match="does not exist"):
        run("")
    (tmp_path / "away").rename(sources)
    kept = (parts / "a.json").stat().st_mtime_ns
    assert [row["status"] for row in run("")] == ["ok"] * 3
    assert (parts / "a.json").stat().st_mtime_ns == kept


def _die(clip: str, part: Path) -> dict[str, object]:
    import os
    import signal

    if clip == "b":
        os.kill(os.getpid(), signal.SIGKILL)
    part.write_text(clip)
    return {}


def test_a_killed_worker_process_is_said(tmp_path: Path) -> None:
    with pytest.raises(OccluFaceError, match=r"a worker process was killed.*memory ran out.*dask\.workers"):
        run_shard("abc", _die, tmp_path, key, workers=2)


def test_a_part_without_its_content_is_done_again(tmp_path: Path) -> None:
    def work(clip: str, part: Path) -> dict[str, object]:
        part.write_text(clip)
        return {}

    run_shard("ab", work, tmp_path, key)
    (tmp_path / "b.h5").write_bytes(b"")
    assert len(run_shard("ab", work, tmp_path, key)) == 2
    assert (tmp_path / "b.h5").read_text() == "b"


@pytest.mark.long
@pytest.mark.xdist_group("workflow")
def test_stages_on_a_full_disk(tree: Tree) -> None:
    before = digests(tree.results, f"video25/{SUBJECT}/**/*.*", "clips/*", "runs/main/motion_prior/*.safetensors")
    places = {
        "convert_video": tree.results / "video25" / SUBJECT,
        "crop_faces": tree.results / "clips",
        "train_motion_prior": tree.main_run / "motion_prior",
    }
    for place in places.values():
        shutil.rmtree(place)
    # The last target does not need the first two subjects' new crops: they have the same bytes.
    targets = [f"results/tiny/video25/{SUBJECT}/index.csv", f"results/tiny/clips/{OTHER}.csv"]
    with small_disk(places["convert_video"], "60k") as videos, small_disk(places["crop_faces"], "500k") as crops:
        result = tree.run("--", *targets)
        assert result.returncode != 0
        said = [line for line in errors_in(result.stdout) if "is full" in line]
        assert len(said) == len(errors_in(result.stdout)) == 2, result.stdout[-4000:]
        assert any(re.search(rf"video25/{SUBJECT}/\w+/level_1/001\.mp4: .*disk is full", line) for line in said)
        assert any(re.search(rf"clips/.*{OTHER}\.h5.*: .*disk is full", line) for line in said)
        assert not list(tree.results.glob("video25/*/**/*.mp4")) or (videos.folder / "index.csv").exists() is False
        assert [path for path in crops.folder.glob("*") if not path.name.startswith(".")] == []
        for disk in (videos, crops):
            disk.set("size=20m")
        result = tree.run("--", *targets)
        assert result.returncode == 0, result.stdout[-4000:]
        after = digests(tree.results, f"video25/{SUBJECT}/**/*.*", f"clips/{OTHER}.*")
    assert after == {name: before[name] for name in after} and len(after) >= 5


@pytest.mark.long
@pytest.mark.xdist_group("workflow")
def test_training_on_a_full_disk(tree: Tree, finished: Tree) -> None:
    place = tree.main_run / "motion_prior"
    shutil.rmtree(place)
    target = "results/tiny/runs/main/motion_prior/model.safetensors"
    with small_disk(place, "2m") as disk:
        result = tree.run("--", target)
        assert result.returncode != 0
        (line,) = errors_in(result.stdout)
        assert re.search(r"runs/main/motion_prior/\S+: .*the disk is full; free some space", line), line
        assert not (place / "model.safetensors").exists()
        disk.set("size=80m")
        assert tree.run("--", target).returncode == 0
        assert digests(tree.results, "runs/main/motion_prior/model.safetensors") == digests(
            finished.results, "runs/main/motion_prior/model.safetensors"
        )


@pytest.mark.slow
@pytest.mark.xdist_group("workflow")
def test_read_only_results(tree: Tree) -> None:
    place = tree.results / "clips"
    saved = {path.name: path.read_bytes() for path in place.iterdir() if path.is_file()}
    shutil.rmtree(place)
    with small_disk(place, "20m") as disk:
        for name in set(saved) - {f"{OTHER}.h5", f"{OTHER}.csv"}:
            (place / name).write_bytes(saved[name])
        disk.set("ro")
        result = tree.run("--", f"results/tiny/clips/{OTHER}.csv")
        assert result.returncode != 0
        said = [line for line in result.stdout.splitlines() if "read-only" in line.lower()]
        assert len(said) == 1 and "results/tiny/clips: cannot be written to" in said[0], result.stdout[-4000:]
        assert "most recent call last" not in result.stdout
        disk.set("rw")
        assert tree.run("--", f"results/tiny/clips/{OTHER}.csv").returncode == 0
        assert (place / f"{OTHER}.h5").read_bytes() == saved[f"{OTHER}.h5"]


@pytest.mark.slow
@pytest.mark.xdist_group("workflow")
def test_a_deleted_clip_is_named_with_the_remedy(tree: Tree) -> None:
    clip = next((tree.results / "raw" / SUBJECT / "video").rglob("*.mp4"))
    before = clip.read_bytes()
    clip.unlink()
    changed = tree.override("conversion: {crf: 20}")
    target = f"results/tiny/video25/{SUBJECT}/index.csv"
    result = tree.run("--", target, config=changed)
    assert result.returncode != 0
    (line,) = errors_in(result.stdout)
    assert str(clip.relative_to(tree.folder)) in line and "delete the index.csv" in line, line
    (tree.results / "raw" / SUBJECT / "index.csv").unlink()
    result = tree.run("--", target, config=changed)
    assert result.returncode == 0, result.stdout[-4000:]
    assert clip.read_bytes() == before
