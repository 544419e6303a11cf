"""Clips processed by Dask workers in other processes: same bytes, a killed worker, messages to the user."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
sys.path += [str(TESTS), str(TESTS / "cluster"), str(TESTS / "stages")]

from dask_here import DaskHere, dask_here, deadly_work, slow_work  # noqa: E402
from media_samples import tone, write_blank, write_face  # noqa: E402
from small_head import small_head  # noqa: E402

from occlufacediff.config.audio import AudioSettings  # noqa: E402
from occlufacediff.config.crop import CropSettings  # noqa: E402
from occlufacediff.config.landmarks import LandmarkSettings  # noqa: E402
from occlufacediff.config.reconstruction import ReconstructionSettings  # noqa: E402
from occlufacediff.config.video import VideoSettings  # noqa: E402
from occlufacediff.errors import ConfigError  # noqa: E402
from occlufacediff.media.archives import write_tar  # noqa: E402
from occlufacediff.media.encode import write_audio  # noqa: E402
from occlufacediff.workflow import dask_workers  # noqa: E402
from occlufacediff.workflow.shards import key, part_path, run_shard  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("dask"), pytest.mark.timeout(300)]
CLIPS = [f"happy/level_1/{number:03d}" for number in range(8)]


@pytest.fixture(scope="module")
def dask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskHere]:
    """A scheduler with two workers; tests that kill some start their own."""
    with dask_here(tmp_path_factory.mktemp("dask"), workers=2) as running:
        yield running


def _archives(folder: Path) -> tuple[Path, Path]:
    """A subject with two faces, a clip without one, and one that is no video."""
    write_audio(folder / "sound.m4a", tone(1.0), 48000)
    videos = {
        "happy/level_1/001": write_face(folder / "a.mp4"),
        "happy/level_2/002": write_face(folder / "b.mp4", frames=36),
        "sad/level_1/001": write_blank(folder / "c.mp4"),
        "sad/level_1/002": folder / "d.mp4",
    }
    videos["sad/level_1/002"].write_text("not a video" * 99)
    write_tar(folder / "video.tar", [(f"video/front/{clip}.mp4", path) for clip, path in videos.items()])
    write_tar(folder / "audio.tar", [(f"audio/{clip}.m4a", folder / "sound.m4a") for clip in videos])
    return folder / "video.tar", folder / "audio.tar"


def _stages(root: Path, raw: Path, head: Path, scheduler: str | None) -> dict[str, str]:
    """Every stage that works clip by clip; digests of all files it leaves."""
    from occlufacediff.stages.audio import extract_subject
    from occlufacediff.stages.crop import crop_subject
    from occlufacediff.stages.landmarks import detect_subject
    from occlufacediff.stages.reconstruct import reconstruct_subject
    from occlufacediff.stages.video import convert_subject

    video, index = root / "video25/S1", root / "video25/S1/index.csv"
    landmarks, clips, coefficients = (root / f"{name}.h5" for name in ("landmarks", "clips", "coefficients"))
    convert_subject("S1", raw, raw / "index.csv", video, index, settings=VideoSettings(), scheduler=scheduler)
    extract_subject(
        "S1",
        raw,
        raw / "index.csv",
        root / "audio.h5",
        root / "audio.csv",
        settings=AudioSettings(),
        scheduler=scheduler,
    )
    detect_subject(
        "S1", video, index, landmarks, root / "landmarks.csv", settings=LandmarkSettings(), scheduler=scheduler
    )
    crop_subject("S1", video, index, landmarks, clips, root / "clips.csv", settings=CropSettings(), scheduler=scheduler)
    reconstruct_subject(
        "S1",
        clips,
        head,
        coefficients,
        root / "coefficients.csv",
        settings=ReconstructionSettings(bad_fit_px=1000.0),
        scheduler=scheduler,
    )
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_workers_elsewhere_leave_the_same_bytes(
    dask: DaskHere, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from occlufacediff.stages.acquire import unpack_subject

    # Scripts give paths relative to the workflow's folder; the workers stand in another one.
    raw, head = Path("../raw"), Path("../head.npz")
    for folder in (tmp_path / "here", tmp_path / "there"):
        folder.mkdir()
    monkeypatch.chdir(tmp_path / "here")
    unpack_subject("S1", *_archives(tmp_path), raw, raw / "index.csv", view="front")
    small_head().save(head)
    here = _stages(Path("results"), raw, head, None)
    monkeypatch.chdir(tmp_path / "there")
    there = _stages(Path("results"), raw, head, dask.address)
    assert here == there
    assert {"audio.h5", "landmarks.h5", "clips.h5", "coefficients.h5", "video25/S1/happy/level_1/001.mp4"} <= set(here)
    assert "no_face" in Path("results/landmarks.csv").read_text()
    assert Path("results/coefficients.csv").read_text().count(",ok,") == 2


def test_a_killed_worker_costs_the_clip_it_was_doing(tmp_path: Path) -> None:
    parts, log = tmp_path / "parts", tmp_path / "log"
    with dask_here(tmp_path / "dask", workers=2) as dask:
        rows: list[dict[str, object]] = []
        shard = threading.Thread(
            target=lambda: rows.extend(
                run_shard(CLIPS, partial(slow_work, log, 1.0), parts, key, scheduler=dask.address)
            )
        )
        shard.start()
        # Both have finished something and both are in the middle of something.
        finished = lambda: [path for path in parts.rglob("*.json") if path.name[0] != "."]  # noqa: E731
        _until(lambda: len(finished()) >= 3 and len(log.read_text().splitlines()) >= 5)
        victim = dask.workers[0]
        open_: set[str] = set()

        def stopped_within_a_clip() -> bool:
            """Stop the worker; a clip that it has just finished reaches the shard meanwhile."""
            os.kill(victim.pid, signal.SIGSTOP)
            time.sleep(0.3)
            begun = [line.split() for line in log.read_text().splitlines()]
            done = {path.relative_to(parts).with_suffix("").as_posix() for path in finished()}
            open_.update({clip for clip, pid in begun if int(pid) == victim.pid} - done)
            if not open_:
                os.kill(victim.pid, signal.SIGCONT)
            return bool(open_)

        _until(stopped_within_a_clip)
        os.kill(victim.pid, signal.SIGKILL)
        shard.join(60)
        assert not shard.is_alive()
    assert [(row["clip"], row["status"]) for row in rows] == [(clip, "ok") for clip in CLIPS]
    times = Counter(line.split()[0] for line in log.read_text().splitlines())
    again = {clip for clip, count in times.items() if count > 1}
    assert set(times) == set(CLIPS)
    assert len(open_) == 1 and again == open_ and max(times.values()) == 2


def test_a_clip_that_kills_its_workers_is_named_and_the_others_are_kept(tmp_path: Path) -> None:
    with (
        dask_here(tmp_path / "dask", workers=1, deaths=0) as dask,
        # The name may be that of the clip that waited behind it.
        pytest.raises(ConfigError, match=r"1 workers of tcp://\S+ died .* happy/level_1/00[12]; see .*kept"),
    ):
        run_shard(CLIPS[:3], deadly_work, tmp_path / "parts", key, scheduler=dask.address)
    assert part_path(tmp_path / "parts", CLIPS[0]).exists()


def test_a_scheduler_that_goes_away_is_one_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_workers, "CONNECT_S", 3.0)
    with dask_here(tmp_path / "dask", workers=1) as dask:
        log = tmp_path / "log"

        def kill() -> None:
            _until(log.exists)
            assert dask.scheduler is not None
            os.kill(dask.scheduler.pid, signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        with pytest.raises(ConfigError, match=rf"dask\.scheduler: .*{dask.address} stopped during the run"):
            run_shard(CLIPS, partial(slow_work, log, 5.0), tmp_path / "parts", key, scheduler=dask.address)
        killer.join()


def test_no_scheduler_is_an_error_with_address_key_and_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_workers, "CONNECT_S", 1.0)
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{nobody.getsockname()[1]}"
        with pytest.raises(ConfigError, match=rf"dask\.scheduler: .*{address}.*dask scheduler.*null") as caught:
            run_shard(CLIPS, partial(slow_work, tmp_path / "log", 0.0), tmp_path / "parts", key, scheduler=address)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("address", ["node1", "udp://node1:1", "tcp://no.such.host.invalid:8786"])
def test_an_address_that_is_none_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setattr(dask_workers, "CONNECT_S", 1.0)
    with pytest.raises(ConfigError, match=rf"dask\.scheduler: .*'{address}'"):
        run_shard(CLIPS, partial(slow_work, tmp_path / "log", 0.0), tmp_path / "parts", key, scheduler=address)


def test_a_scheduler_without_workers_is_not_waited_for_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(dask_workers, "LOOK_S", 0.2)
    monkeypatch.setattr(dask_workers, "NO_WORKER_S", 1.0)
    work = partial(slow_work, tmp_path / "log", 0.0)
    with dask_here(tmp_path / "dask", workers=0) as dask, pytest.raises(ConfigError, match=r"no worker for .*nthreads"):
        run_shard(CLIPS, work, tmp_path / "parts", key, scheduler=dask.address)
    assert "has no worker; start some" in caplog.text


def test_workers_with_other_code_are_refused(dask: DaskHere, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_workers, "fingerprint", lambda module: "edited since")
    with pytest.raises(ConfigError, match=r"worker tcp://\S+ on \S+ runs other code"):
        run_shard(CLIPS, partial(slow_work, tmp_path / "log", 0.0), tmp_path / "parts", key, scheduler=dask.address)
    assert not (tmp_path / "log").exists()


def test_workers_that_lack_the_folder_are_refused(
    dask: DaskHere, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask_workers.Path, "cwd", lambda: Path("/mounted/elsewhere"))
    with pytest.raises(ConfigError, match="has no folder /mounted/elsewhere"):
        run_shard(CLIPS, partial(slow_work, tmp_path / "log", 0.0), tmp_path / "parts", key, scheduler=dask.address)


def _until(ready: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("tcp://127.0.0.1:8786", False),
        ("localhost:8786", False),
        ("tcp://[::1]:8786", False),
        ("tls://node1:8786", False),
        ("tcp://node1:8786", True),
        ("node1:8786", True),
        ("tcp://0.0.0.0:8786", True),
    ],
)
def test_an_address_that_others_can_reach_is_recognised(address: str, expected: bool) -> None:
    assert dask_workers.is_open(address) is expected


def test_an_open_scheduler_gets_a_warning(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_workers, "CONNECT_S", 0.2)
    with pytest.raises(ConfigError, match="no Dask scheduler answers"):
        dask_workers.run_elsewhere(
            print, {"a": 1}, "tcp://0.0.0.0:1", module="occlufacediff.workflow.shards", done=lambda: None
        )
    assert "everyone who reaches its port can run code as this user" in caplog.text
