"""Reading windows of a packed data set of MEAD's size: windows per second, memory, files opened.

``python benchmarks/packed.py --folder FOLDER [--clips 31000] [--frames 70] [--audio waveform] [--windows 20000]
[--precision float32]``

The folder gets random clips of 47 subjects, in the files that the workflow's rules write (15 GB with the defaults), and
is removed at the end. The last line is one JSON object. Windows per second are given per second of the clock and per
second of one core (its CPU time), because the first depends on the disk and on other programs.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import resource
import shutil
import sys
import time
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from queue import Empty
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from occlufacediff.config.occlusion import MaskSettings
from occlufacediff.config.packing import Precision
from occlufacediff.config.published_recipe import PublishedMaskOdds
from occlufacediff.config.training import AugmentSettings
from occlufacediff.datasets.packed import AUDIO, PackedClips
from occlufacediff.datasets.packed_files import Column, write_packed
from occlufacediff.stages.pack import MOTION_TABLE
from occlufacediff.training.published_windows import Drawing, PublishedWindows
from occlufacediff.training.windows import WindowDataset, collate

SUBJECTS = 47
BATCH = 16
#: Expressions and shape parameters of FLAME, columns of audio.
N_EXP, N_SHAPE = 100, 300
WIDTH = {"log_mel": (80,), "speech": (60,), "waveform": ()}


def write_data(folder: Path, clips: int, frames: int, audio: str, precision: str = "float32") -> dict[str, float]:
    """Random clips of ``frames`` - 5 to ``frames`` + 5 frames; figures of writing."""
    rng = np.random.default_rng(0)
    names = [f"S{number:03d}" for number in range(SUBJECTS)]
    each = [clips // SUBJECTS + (number < clips % SUBJECTS) for number in range(SUBJECTS)]
    most, rate = frames + 5, AUDIO[audio][0]
    face = [
        Column("exp", (N_EXP,), table=MOTION_TABLE),
        *(Column(name, (3,), table=MOTION_TABLE) for name in ("jaw", "global_pose", "cam")),
        Column("shape", (N_SHAPE,), rate=0),
        Column("lmk_2d", (468, 2), np.dtype(precision)),
    ]
    sound = [Column(audio, WIDTH[audio], np.dtype(precision), rate)]

    def random(column: Column) -> NDArray[Any]:
        shape = column.width if column.rate == 0 else ((most + 64) * column.rate, *column.width)
        return (0.3 * rng.standard_normal(shape)).astype(column.dtype)

    pools = {column.name: random(column) for column in (*face, *sound)}
    rows = [("subject", "clip", "split", "status")]
    begun = time.perf_counter()
    for subject, count in zip(names, each, strict=True):
        length = {f"c{number:04d}": int(rng.integers(frames - 5, most + 1)) for number in range(count)}

        def read(clip: str, length: dict[str, int] = length, columns: list[Column] = [*face, *sound]) -> dict[str, Any]:  # noqa: B006
            skip = int(rng.integers(64))
            return {
                column.name: pools[column.name][skip * column.rate :][: length[clip] * column.rate]
                if column.rate
                else pools[column.name]
                for column in columns
            }

        for kind, columns in (("face", face), (audio, sound)):
            write_packed(folder / kind / f"{subject}.h5", length, columns, read, {"subject": subject})
        rows += [(subject, clip, "train", "ok") for clip in length]
    with (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    size = sum(path.stat().st_size for path in folder.rglob("*.h5"))
    seconds = time.perf_counter() - begun
    return {"gb": round(size / 1e9, 2), "seconds": round(seconds, 1), "mb_per_s": round(size / 1e6 / seconds)}


def drop_cache(folder: Path) -> None:
    """Ask the system to forget the cached content of the files, so that they are read from the disk."""
    os.sync()
    for path in folder.rglob("*.h5"):
        handle = os.open(path, os.O_RDONLY)
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(handle)


def memory_mib(field: str) -> float:
    """A figure of /proc/self/status in MiB: ``RssAnon`` (own memory) or ``RssFile`` (mapped files)."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:")) / 1024


def measure(dataset: Any, windows: int, *, batched: bool = True) -> dict[str, float]:
    """Read windows, in batches or (``batched`` false) only cut out; largest memory while doing so."""
    opened = len(list(Path("/proc/self/fd").iterdir()))
    own, files = 0.0, 0.0
    wall, cpu = time.perf_counter(), time.process_time()
    for begin in range(0, windows, BATCH):
        # As torch's loader asks for the items of a batch.
        if batched:
            collate(dataset.__getitems__(range(begin, begin + BATCH)))
        else:
            dataset.cut_out(range(begin, begin + BATCH))
        if begin % (40 * BATCH) == 0:
            own, files = max(own, memory_mib("RssAnon")), max(files, memory_mib("RssFile"))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {
        "windows": windows,
        "per_s": round(windows / wall),
        "per_core_s": round(windows / cpu),
        "own_mib": round(own),
        "mapped_mib": round(files),
        "files_opened": len(list(Path("/proc/self/fd").iterdir())) - opened,
    }


def reader(folder: Path, audio: str, windows: int, queue: Any) -> None:
    """All figures of reading, in a process of its own."""
    begun = time.perf_counter()
    clips = PackedClips(
        folder / "manifest.csv",
        "train",
        face=sorted((folder / "face").glob("*.h5")),
        landmarks=True,
        audio=sorted((folder / audio).glob("*.h5")),
        audio_as=audio,
    )
    opening = time.perf_counter() - begun
    plain = WindowDataset(clips, seed=1)
    masked = WindowDataset(clips, seed=1, masks=MaskSettings())
    whole = WindowDataset(clips, seed=1, masks=MaskSettings(), augment=AugmentSettings())
    ours = WindowDataset(clips, seed=1, masks=MaskSettings(), augment=AugmentSettings(), tempo=0.12)
    drawing = Drawing(seed=1, length=64, per_clip=5, batch_size=BATCH, shortest=64)
    published = PublishedWindows(clips, drawing, odds=lambda epoch, item: PublishedMaskOdds(), spec_augment=(2, 10))
    result: dict[str, Any] = {"clips": len(clips), "opening_s": round(opening, 2)}
    drop_cache(folder)
    steps: list[tuple[str, Any, int, bool]] = [
        ("read and cut, disk", plain, windows, False),
        ("read and cut, cached", plain, windows, False),
        ("batches", plain, windows // 4, True),
        ("batches, masks", masked, windows // 8, True),
        ("batches, masks, augmentation", whole, windows // 8, True),
        ("batches, masks, augmentation, tempo", ours, windows // 8, True),
        ("batches of the published recipe", published, windows // 8, True),
    ]
    for name, dataset, count, batched in steps:
        result[name] = measure(dataset, count, batched=batched)
        print(f"{name}: {result[name]}", file=sys.stderr)
    result["peak_mib"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    queue.put(result)


def in_process(work: Callable[..., None], *arguments: Any) -> Any:
    """Result of ``work`` in a new process, so that its memory is its own."""
    context = get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=work, args=(*arguments, queue))
    process.start()
    while True:
        try:
            result = queue.get(timeout=1)
            break
        except Empty:
            if process.exitcode not in (None, 0):
                raise RuntimeError(f"the measuring process ended with {process.exitcode}; see its message") from None
    process.join()
    return result


def main() -> None:
    """Write, measure, remove."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="must not exist yet; is removed at the end")
    parser.add_argument("--clips", type=int, default=31000)
    parser.add_argument("--frames", type=int, default=70, help="mean length of a clip, at least 69")
    parser.add_argument("--audio", choices=sorted(WIDTH), default="waveform")
    parser.add_argument("--precision", choices=get_args(Precision), default="float32", help="of landmarks and audio")
    parser.add_argument("--windows", type=int, default=20000, help="a multiple of 128")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True)
    try:
        given = arguments.clips, arguments.frames, arguments.audio, arguments.precision
        result = {"written": write_data(arguments.folder, *given)}
        print(f"written: {result['written']}", file=sys.stderr)
        result |= in_process(reader, arguments.folder, arguments.audio, arguments.windows)
    finally:
        shutil.rmtree(arguments.folder, ignore_errors=True)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
