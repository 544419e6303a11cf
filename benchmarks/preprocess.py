"""From a raw archive to the clip store: this project against the published procedure, in one run.

``python benchmarks/preprocess.py [VIDEO] [--most 1000] [--only clip,masks,items,shards]``; the last line is one
JSON object.

VIDEO is a clip in the format of MEAD: 1920 x 1080, 30 fps, H.264 4:4:4. Without it, a clip of ``results/synthetic`` is
scaled up. `plain_preprocess.py` implements the published procedure: it decodes the 25 fps video for landmarks and again
for crops, warps in float64, stores float64, and looks up landmarks one by one. Both sides use the same detector, and
libraries are loaded before timing. Times are CPU seconds with child processes, which other programs affect least.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
# One thread. Libraries read these variables when they are imported.
os.environ.update(dict.fromkeys(THREADS, "1"))

import cv2  # noqa: E402
import h5py  # noqa: E402
import numpy as np  # noqa: E402
import plain_preprocess as plain  # noqa: E402

from occlufacediff.config.crop import CropSettings  # noqa: E402
from occlufacediff.config.landmarks import LandmarkSettings  # noqa: E402
from occlufacediff.config.video import VideoSettings  # noqa: E402
from occlufacediff.landmarks.detect import MediaPipeDetector  # noqa: E402
from occlufacediff.landmarks.store import read_crops  # noqa: E402
from occlufacediff.landmarks.visibility import visible_landmarks  # noqa: E402
from occlufacediff.media.archives import write_tar  # noqa: E402
from occlufacediff.media.ffmpeg import ffmpeg_binary  # noqa: E402
from occlufacediff.media.frames import read_frames  # noqa: E402
from occlufacediff.media.rates import SAMPLES_PER_FRAME  # noqa: E402
from occlufacediff.stages.acquire import unpack_subject  # noqa: E402
from occlufacediff.stages.crop import crop_subject  # noqa: E402
from occlufacediff.stages.landmarks import detect_subject  # noqa: E402
from occlufacediff.stages.video import convert_subject  # noqa: E402
from occlufacediff.workflow.shards import read_index  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
SUBJECT, CLIP = "M030", "sad/level_3/001"
MEMBER = f"video/front/{CLIP}.mp4"
Figures = dict[str, Any]


def cpu_seconds() -> float:
    """CPU seconds of this process and its finished children."""
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def took(work: Callable[[], object], repeats: int = 1) -> float:
    """CPU seconds of the fastest of several calls."""
    times = []
    for _ in range(repeats):
        begun = cpu_seconds()
        work()
        times.append(cpu_seconds() - begun)
    return min(times)


def stages(archive: Path, folder: Path) -> dict[str, float]:
    """CPU seconds of each stage from a subject's archive to its clip store in ``folder``."""
    raw, video, boxes, store = folder / "raw", folder / "video25", folder / "landmarks.h5", folder / "clips.h5"
    index = video / "index.csv"
    return {
        "unpack": took(lambda: unpack_subject(SUBJECT, archive, None, raw, raw / "index.csv", view="front")),
        "convert": took(
            lambda: convert_subject(SUBJECT, raw, raw / "index.csv", video, index, settings=VideoSettings())
        ),
        "landmarks": took(
            lambda: detect_subject(SUBJECT, video, index, boxes, folder / "l.csv", settings=LandmarkSettings())
        ),
        "crop": took(
            lambda: crop_subject(SUBJECT, video, index, boxes, store, folder / "c.csv", settings=CropSettings())
        ),
    }


def one_clip(video: Path, folder: Path, repeats: int) -> Figures:
    """Speed, bytes and fidelity on one clip."""
    archive = folder / "video.tar"
    write_tar(archive, [(MEMBER, video)])
    detector = MediaPipeDetector(LandmarkSettings())
    runs = []
    for number in range(repeats + 1):
        # The first call loads the detector and is not counted.
        shutil.rmtree(folder / "ours", ignore_errors=True)
        (folder / "ours").mkdir()
        runs.append(stages(archive, folder / "ours"))
        if number == 0:
            detector.detect(next(read_frames(video)))
    ours = min(runs[1:], key=lambda run: sum(run.values()))
    (folder / "plain").mkdir()
    frames_plain = plain.archive_to_store(archive, MEMBER, folder / "plain", detector)
    plain_s = took(lambda: plain.archive_to_store(archive, MEMBER, folder / "plain", detector), repeats)
    with h5py.File(folder / "ours/clips.h5", "r") as file:
        group = file[CLIP]
        frames, stored = len(group["landmarks"]), group["crops"].shape[0]
        crops, boxes = read_crops(group), np.asarray(group["crop_boxes"])
    exact = [
        plain.cubic_crop(frame, box)
        for frame, box in zip(read_frames(folder / f"ours/video25/{CLIP}.mp4"), boxes, strict=True)
    ]
    source = [plain.cubic_crop(frame, box) for frame, box in zip(read_frames(video), boxes, strict=True)]
    with h5py.File(folder / "plain/store.h5", "r") as file:
        plain_bytes = file["images"].dtype.itemsize * file["images"].size / frames_plain
    return {
        "frames": frames,
        "ours_s": {name: round(value, 3) for name, value in ours.items()},
        "ours_frames_per_cpu_s": round(frames / sum(ours.values()), 2),
        "plain_frames_per_cpu_s": round(frames_plain / plain_s, 2),
        "speed_ratio": round(frames / sum(ours.values()) / (frames_plain / plain_s), 2),
        "ours_bytes_a_frame": round(stored / frames),
        "plain_bytes_a_frame": round(plain_bytes),
        "bytes_ratio": round(plain_bytes / (stored / frames), 1),
        "psnr_db": round(psnr(crops, np.array(exact)), 2),
        "psnr_to_source_db": round(psnr(crops, np.array(source)), 2),
    }


def psnr(pictures: Any, truth: Any) -> float:
    """Peak signal-to-noise ratio over all images, dB."""
    return float(10 * np.log10(255**2 / np.mean((pictures.astype(np.float64) - truth) ** 2)))


def masks() -> Figures:
    """Frames per second when looking up 468 landmarks in mask images."""
    rng = np.random.default_rng(0)
    landmarks = rng.uniform(-1.1, 1.1, (200, 468, 2)).astype(np.float32)
    pictures = (rng.random((200, 224, 224)) > 0.5).astype(np.uint8)
    assert (plain.mask_look_up(landmarks, pictures) == visible_landmarks(landmarks, pictures)).all()
    ours = took(lambda: [visible_landmarks(landmarks, pictures) for _ in range(20)], 3) / 20
    slow = took(lambda: plain.mask_look_up(landmarks, pictures))
    return {
        "ours_frames_per_s": round(200 / ours),
        "plain_frames_per_s": round(200 / slow),
        "ratio": round(slow / ours, 1),
    }


def items(folder: Path, clips: int = 20, frames: int = 100) -> Figures:
    """Training items per CPU second: windows of 64 frames with landmarks, audio, 100 expression coefficients.

    Batches add a copy into one tensor on both sides.
    """
    # Imported here, because the shard processes of this file must not hold torch in memory.
    from occlufacediff.datasets.store import ClipStore
    from occlufacediff.training.windows import WindowDataset, collate

    rng = np.random.default_rng(0)
    names = [f"happy/level_1/{number:03d}" for number in range(clips)]
    shapes = {"exp": (frames, 100), "jaw": (frames, 3), "global_pose": (frames, 3), "cam": (frames, 3), "shape": (300,)}
    files = {kind: folder / kind / f"{SUBJECT}.h5" for kind in ("coefficients", "clips", "audio")}
    for kind, path in files.items():
        path.parent.mkdir(parents=True)
        with h5py.File(path, "w") as file:
            for name in names:
                if kind == "coefficients":
                    for key, shape in shapes.items():
                        file[f"{name}/{key}"] = rng.standard_normal(shape).astype(np.float32)
                elif kind == "clips":
                    file[f"{name}/landmarks"] = rng.uniform(-1, 1, (frames, 478, 2)).astype(np.float32)
                else:
                    file[f"{name}/waveform"] = rng.standard_normal(frames * SAMPLES_PER_FRAME).astype(np.float32)
        shutil.copy(path, folder / f"{kind}.h5")
    rows = "".join(f"{SUBJECT},{name},train,ok\n" for name in names)
    (folder / "manifest.csv").write_text("subject,clip,split,status\n" + rows)
    paths = {kind: [path] for kind, path in files.items()}
    store = ClipStore(folder / "manifest.csv", "train", **paths, audio_as="waveform")
    dataset = WindowDataset(store, seed=0)
    count, few, batch = 2048, 256, 16

    def ours(number: int) -> dict[str, Any]:
        return dataset[number]

    def plainly(number: int) -> dict[str, Any]:
        return plain.training_item(folder, names[number % clips], rng)

    def stacked(item: Callable[[int], dict[str, Any]], end: int) -> None:
        for first in range(0, end, batch):
            collate([item(number) for number in range(first, first + batch)])

    fast = took(lambda: [dataset[number] for number in range(count)], 3) / count
    slow = took(lambda: [plainly(number) for number in range(few)], 3) / few
    fast_stacked = took(lambda: stacked(ours, count), 3) / count
    slow_stacked = took(lambda: stacked(plainly, few), 3) / few
    return {
        "ours_per_cpu_s": round(1 / fast),
        "plain_per_cpu_s": round(1 / slow),
        "ratio": round(slow / fast, 1),
        "ours_in_batches_per_cpu_s": round(1 / fast_stacked),
        "plain_in_batches_per_cpu_s": round(1 / slow_stacked),
    }


def shard(video: Path, clips: int, folder: Path) -> Figures:
    """One shard of copies of a small clip, after a warm-up clip: CPU time per clip, peak memory."""
    times = []
    for count in (1, clips):
        place = folder / f"{count}-{clips}"
        place.mkdir()
        names = [f"video/front/happy/level_1/{number:04d}.mp4" for number in range(count)]
        write_tar(place / "video.tar", [(name, video) for name in names])
        times.append(sum(stages(place / "video.tar", place).values()))
        assert [row["status"] for row in read_index(place / "c.csv")] == ["ok"] * count
        shutil.rmtree(place)
    # The peak of getrusage starts at the value of the parent process.
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    peak = int(status["VmHWM"].split()[0]) / 1024
    return {"clips": clips, "cpu_s_a_clip": round(times[1] / clips, 4), "peak_mb": round(peak, 1)}


def shards(video: Path, folder: Path, most: int) -> Figures:
    """Shards of 10 to ``most`` clips, each in a separate process."""
    small = folder / "small.mp4"
    run_ffmpeg("-i", video, "-t", "1.04", "-vf", "crop=ih:ih,scale=192:192,fps=25", "-preset", "ultrafast", small)
    rows = []
    for clips in sorted({count for count in (10, 20, 200, 1000) if count <= most} | {most}):
        with tempfile.TemporaryDirectory(dir=folder) as place:
            command = [sys.executable, __file__, str(small), "--shard", str(clips), "--folder", place]
            text = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        rows.append(json.loads(text.splitlines()[-1]))
        print(rows[-1], flush=True)
    costs, peaks = [row["cpu_s_a_clip"] for row in rows], {row["clips"]: row["peak_mb"] for row in rows}

    def growth(largest: int) -> float:
        return round(max(peak - peaks[20] for clips, peak in peaks.items() if 20 <= clips <= largest), 1)

    to_200 = {"memory_growth_mb_20_to_200": growth(200)} if most >= 200 else {}
    return {
        "shards": rows,
        "dearest_to_cheapest": round(max(costs) / min(costs), 3),
        **to_200,
        "memory_growth_mb_20_to_most": growth(most),
    }


def run_ffmpeg(*arguments: object) -> None:
    """Run ffmpeg; an error ends the benchmark."""
    words = [str(word) for word in arguments]
    subprocess.run([ffmpeg_binary(), "-nostdin", "-loglevel", "error", "-y", *words], check=True)


def own_video(folder: Path) -> Path:
    """A rendered clip, scaled to 1920 x 1080, 30 fps, H.264 4:4:4."""
    archives = sorted(ROOT.glob("results/synthetic/archives/*/video.tar"))
    if not archives:
        raise SystemExit("There is no results/synthetic/archives; give a VIDEO, or run `make run` first.")
    unpack_subject("own", archives[0], None, folder / "own", folder / "own.csv", view="front")
    source = folder / "own" / read_index(folder / "own.csv")[0]["video"]
    video = folder / "own-1080p.mp4"
    size = "scale=1080:1080,pad=1920:1080:-1:-1:gray,format=yuv444p"
    run_ffmpeg("-i", source, "-vf", size, "-r", "30", "-c:v", "libx264", "-crf", "20", "-an", video)
    return video


def main(arguments: Sequence[str] | None = None) -> Figures:
    """Measure, print, and end with one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path, nargs="?")
    parser.add_argument("--most", type=int, default=1000, help="clips in the largest shard, at least 20")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", default="clip,masks,items,shards")
    parser.add_argument("--shard", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.most < 20:
        parser.error(f"argument --most: got {options.most}, needs 20 or more to measure the growth of memory")
    cv2.setNumThreads(1)
    if options.shard:
        result = shard(options.video, options.shard, options.folder)
        print(json.dumps(result))
        return result
    parts = options.only.split(",")
    result = {"benchmark": "preprocess"}
    with tempfile.TemporaryDirectory(prefix="preprocess-") as name:
        folder = Path(name)
        video = options.video or own_video(folder)
        for part, work in {
            "clip": lambda: one_clip(video, folder, options.repeats),
            "masks": masks,
            "items": lambda: items(folder / "items"),
            "shards": lambda: shards(video, folder, options.most),
        }.items():
            if part in parts:
                result[part] = work()
                print(part, json.dumps(result[part]), flush=True)
    result["met"] = met(result)
    print(json.dumps(result))
    return result


def met(result: Figures) -> dict[str, bool]:
    """Which limits the measured figures meet."""
    demands: dict[str, tuple[str, Callable[[Figures], bool]]] = {
        "3 times the frames": ("clip", lambda it: it["speed_ratio"] >= 3),
        "1/40 of the bytes at 40 dB": ("clip", lambda it: it["bytes_ratio"] >= 40 and it["psnr_db"] >= 40),
        "100 times the masks": ("masks", lambda it: it["ratio"] >= 100),
        "10 times the items": ("items", lambda it: it["ratio"] >= 10),
        "memory does not grow": ("shards", lambda it: it["memory_growth_mb_20_to_200"] <= 20),
        # HDF5 caches the index of a file, at most 32 MiB; 1,000 clips begin to fill this cache.
        "nor without end": ("shards", lambda it: it["memory_growth_mb_20_to_most"] <= 20 + 32),
        "constant cost": ("shards", lambda it: it["dearest_to_cheapest"] <= 1.25),
    }
    if "memory_growth_mb_20_to_200" not in result.get("shards", {}):
        del demands["memory does not grow"]
    return {name: test(result[part]) for name, (part, test) in demands.items() if part in result}


if __name__ == "__main__":
    main()
