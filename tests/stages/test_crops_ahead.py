"""Crops made while landmarks are found: the clip store is the same bytes, and no clip is decoded for it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import h5py
import mediapipe
import numpy as np
import pytest
from media_samples import SIZE, face_frame
from PIL import Image
from preprocessed import Shard

from occlufacediff.config.crop import CropSettings
from occlufacediff.config.landmarks import LandmarkSettings
from occlufacediff.config.visibility import VisibilitySettings
from occlufacediff.landmarks.detect import make_detector
from occlufacediff.landmarks.store import read_crops
from occlufacediff.media.encode import VideoWriter
from occlufacediff.stages import crop
from occlufacediff.stages.crops_ahead import CropsAhead
from occlufacediff.stages.landmarks import detect_subject
from occlufacediff.workflow.shards import parts_folder, write_index

GOOD = ["happy/level_1/001", "happy/level_1/002", "happy/level_2/003", "sad/level_2/005", "sad/level_2/006"]
SETTINGS = CropSettings()


@dataclass
class Run:
    """The two stages over the videos of a shard, into a folder of their own; counts the clips decoded for crops."""

    shard: Shard
    out: Path
    decoded: int = 0

    @property
    def clips(self) -> Path:
        return self.out / "clips.h5"

    def left(self) -> list[str]:
        parts = parts_folder(self.clips)
        return sorted(str(path.relative_to(parts)) for path in parts.rglob("*") if path.is_file())

    def detect(self, workers: int = 1) -> None:
        detect_subject(
            *("S1", self.shard.video, self.shard.video_index, self.out / "l.h5", self.out / "l.csv"),
            settings=LandmarkSettings(),
            track=CropsAhead(self.clips, SETTINGS).track,
            workers=workers,
        )

    def crop(self, settings: CropSettings = SETTINGS, visibility: VisibilitySettings | None = None) -> bytes:
        crop.crop_subject(
            *("S1", self.shard.video, self.shard.video_index, self.out / "l.h5", self.clips, self.out / "c.csv"),
            settings=settings,
            visibility=visibility,
        )
        return self.clips.read_bytes()


@pytest.fixture(scope="module")
def seen(shard: Shard, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder in which the landmarks were found. Not to be changed."""
    folder = tmp_path_factory.mktemp("seen")
    Run(shard, folder).detect()
    return folder


@pytest.fixture
def run(shard: Shard, seen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    run = Run(shard, shutil.copytree(seen, tmp_path / "run"))
    read_frames = crop.read_frames

    def counted(*args, **kwargs):
        run.decoded += 1
        return read_frames(*args, **kwargs)

    monkeypatch.setattr(crop, "read_frames", counted)
    return run


def test_the_store_is_the_same_and_nothing_is_decoded_or_left(run: Run) -> None:
    assert run.left() == [f"{clip}.ahead.npz" for clip in GOOD]
    assert run.crop() == run.shard.clips.read_bytes()
    assert run.decoded == 0
    assert not parts_folder(run.clips).exists()
    # Another detection with the store in place leaves nothing that nobody would remove.
    run.detect()
    assert run.left() == []


@pytest.mark.slow
def test_workers_leave_crops_too(run: Run) -> None:
    shutil.rmtree(parts_folder(run.clips))
    run.detect(workers=2)
    assert run.crop() == run.shard.clips.read_bytes()
    assert run.decoded == 0


def test_what_was_left_for_something_else_is_not_taken(run: Run) -> None:
    one, two, three = (parts_folder(run.clips) / f"{clip}.ahead.npz" for clip in GOOD[:3])
    one.write_bytes(one.read_bytes()[:1000])
    shutil.copyfile(three, two)
    three.write_text("no archive")
    assert run.crop() == run.shard.clips.read_bytes()
    assert run.decoded == 3


def test_other_settings_are_obeyed(run: Run) -> None:
    other = replace(SETTINGS, jpeg_quality=50)
    assert len(run.crop(other)) < 0.7 * run.shard.clips.stat().st_size
    assert run.decoded == len(GOOD)


def test_masks_are_laid_over_crops_that_were_left(run: Run, tmp_path: Path) -> None:
    mask = np.zeros((SIZE, SIZE), np.uint8)
    mask[135:200] = 255
    for clip in GOOD:
        (tmp_path / f"masks/S1/{clip}").parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(mask).save(tmp_path / f"masks/S1/{clip}.png")
    told = VisibilitySettings(source="masks", masks=str(tmp_path / "masks"))
    from_left = run.crop(visibility=told)
    assert run.decoded == 0
    # Nothing is left now, so the clips are decoded.
    run.clips.unlink()
    assert run.crop(visibility=told) == from_left
    assert run.decoded == len(GOOD)
    with h5py.File(run.clips) as file:
        assert 0.2 < np.mean(file[f"{GOOD[0]}/lmk_visible"]) < 0.8


def test_a_model_that_looks_at_pictures_sees_the_frames_themselves(run: Run) -> None:
    model = Path(mediapipe.__file__).parent / "modules/selfie_segmentation/selfie_segmentation.tflite"
    run.crop(visibility=VisibilitySettings(source="segmentation", model=str(model), visible=("selfie",)))
    assert run.decoded == len(GOOD)
    assert not parts_folder(run.clips).exists()


def test_the_followed_face_is_cropped_and_gaps_are_decoded(tmp_path: Path) -> None:
    videos = tmp_path / "video"
    small = np.asarray(Image.fromarray(face_frame(0)).resize((200, 200)))
    for name, absent in (("001", ()), ("002", (7, 8))):
        (videos / "happy/level_1").mkdir(parents=True, exist_ok=True)
        with VideoWriter(videos / f"happy/level_1/{name}.mp4", 25, (2 * SIZE, SIZE)) as writer:
            for number in range(15):
                frame = np.full((SIZE, 2 * SIZE, 3), 90, np.uint8)
                if number not in absent:
                    frame[28:228, 28:228] = small
                    frame[:, SIZE:] = face_frame(number // 4)
                writer.write(frame)
    names = [f"happy/level_1/{name}" for name in ("001", "002")]
    rows = [{"clip": name, "status": "ok", "reason": "", "message": "", "video": f"{name}.mp4"} for name in names]
    write_index(videos / "index.csv", rows, ["video"])
    landmarks = LandmarkSettings(max_faces=2)
    stores = {}
    for kind in ("ahead", "plain"):
        out = tmp_path / kind
        track = CropsAhead(out / "c.h5", SETTINGS).track if kind == "ahead" else None
        inputs = ("S1", videos, videos / "index.csv", out / "l.h5")
        detect_subject(*inputs, out / "l.csv", settings=landmarks, track=track)
        left = sorted(path.name for path in parts_folder(out / "c.h5").rglob("*.npz"))
        assert left == (["001.ahead.npz"] if kind == "ahead" else [])
        crop.crop_subject(*inputs, out / "c.h5", out / "c.csv", settings=SETTINGS)
        stores[kind] = (out / "c.h5").read_bytes()
    assert stores["ahead"] == stores["plain"]
    with h5py.File(tmp_path / "ahead/l.h5") as file, h5py.File(tmp_path / "ahead/c.h5") as store:
        assert file[names[0]].attrs["n_faces_max"] == 2
        assert np.asarray(file[names[0]]["landmarks_px"])[..., 0].min() > SIZE
        assert len(read_crops(store[names[0]])) == 15
    with make_detector(landmarks) as detector, h5py.File(tmp_path / "ahead/c.h5") as store:
        # The large face fills its crop.
        face = detector.detect(read_crops(store[names[0]])[3])[0]
    assert np.ptp(face[:, 0]) > 120
