"""The embedded data set made by Dask workers: the same bytes, whatever process or thread draws."""

from __future__ import annotations

import hashlib
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
sys.path.append(str(TESTS / "cluster"))

from dask_here import dask_here  # noqa: E402

from occlufacediff.config.openhead import OpenHeadSettings  # noqa: E402
from occlufacediff.config.synthetic import SyntheticSettings  # noqa: E402
from occlufacediff.openhead.build import basic_asset  # noqa: E402
from occlufacediff.stages.synthesise import synthesise_subject  # noqa: E402

SETTINGS = SyntheticSettings(training_subjects=1, training_clips=3, max_seconds=2.7, picture_size=96)
NAMES = ("video.tar", "audio.tar", "sentences.csv", "truth.h5")


def made(folder: Path, head: Path, scheduler: str | None = None) -> dict[str, str]:
    synthesise_subject("M101", head, *(folder / name for name in NAMES), settings=SETTINGS, seed=3, scheduler=scheduler)
    assert sorted(path.name for path in folder.iterdir()) == sorted(NAMES)
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in NAMES}


@pytest.mark.long
@pytest.mark.xdist_group("dask")
def test_processes_and_threads_elsewhere_give_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    head = Path("open_head.npz")
    basic_asset(OpenHeadSettings(identities=40, shape_components=12), 0).save(head)
    here = made(Path("here"), head)
    with dask_here(tmp_path / "dask", workers=2) as dask:
        assert made(Path("there"), head, dask.address) == here
        logs = [(dask.folder / f"worker{number}.log").read_text() for number in (0, 1)]
        assert not any("Traceback" in log for log in logs)
    # A window of one thread stays open while another thread draws.
    with ThreadPoolExecutor(1) as other:
        assert other.submit(made, Path("other thread"), head).result() == here
    assert made(Path("first thread"), head) == here
