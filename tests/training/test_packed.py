"""Packed and mapped clips: the same numbers as the stages' files, in any process, with little memory."""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
import time
from dataclasses import fields, replace
from multiprocessing import get_context
from pathlib import Path

import h5py
import numpy as np
import pytest

sys.path += [str(Path(__file__).resolve().parent.parent)]

from small_data import Files, write_small_data

from occlufacediff.config.occlusion import MaskSettings
from occlufacediff.config.published_recipe import PublishedMaskOdds
from occlufacediff.config.training import AugmentSettings
from occlufacediff.datasets.audio_kinds import AUDIO_OF_PRESET
from occlufacediff.datasets.clips import cut
from occlufacediff.datasets.packed import AUDIO, PackedClips
from occlufacediff.datasets.packed_files import Column, PackedFile, write_packed
from occlufacediff.datasets.store import ClipStore
from occlufacediff.errors import AssetError
from occlufacediff.head.asset import HeadAsset
from occlufacediff.stages.pack import pack_audio, pack_face
from occlufacediff.training.published_windows import Drawing, PublishedWindows, plain_window
from occlufacediff.training.resampling import window_of
from occlufacediff.training.windows import WindowDataset


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return write_small_data(tmp_path_factory.mktemp("data"), clips=3)


def packed_clips(files: Files, kind: str = "log_mel", split: str = "train") -> PackedClips:
    return PackedClips(
        files.manifest, split, face=files.packed(), landmarks=True, audio=files.packed(kind), audio_as=kind
    )


@pytest.mark.parametrize("kind", sorted(set(AUDIO_OF_PRESET.values())))
def test_packed_clips_have_the_numbers_of_the_stages_files(files: Files, kind: str) -> None:
    store = ClipStore(
        files.manifest,
        "train",
        coefficients=files.coefficients,
        clips=files.clips,
        audio=files.audio,
        audio_as=kind,
        phones=[files.phones(path) for path in files.audio],
    )
    packed = packed_clips(files, kind)
    assert len(packed) == len(store) == 6
    assert packed.clip_sentences() == store.clip_sentences()
    for index in range(len(store)):
        assert packed.clip_id(index) == store.clip_id(index)
        for field in fields(packed[index]):
            mine, theirs = getattr(packed[index], field.name), getattr(store[index], field.name)
            np.testing.assert_array_equal(mine, theirs)
            assert mine is None or mine.dtype == theirs.dtype


@pytest.mark.parametrize("kind", ["log_mel", "waveform"])
def test_half_precision_moves_windows_by_rounding_only(files: Files, tmp_path: Path, kind: str) -> None:
    (tmp_path / "face").mkdir()
    (tmp_path / kind).mkdir()
    half = {"face": [], kind: []}
    for coefficients, clips, audio in zip(files.coefficients, files.clips, files.audio, strict=True):
        for folder in half:
            half[folder].append(tmp_path / folder / coefficients.name)
        face, sound = half["face"][-1], half[kind][-1]
        pack_face(coefficients.stem, coefficients, clips, face, precision="float16")
        pack_audio(coefficients.stem, kind, face, audio, sound, precision="float16")
    full = packed_clips(files, kind)
    small = PackedClips(files.manifest, "train", face=half["face"], landmarks=True, audio=half[kind], audio_as=kind)
    assert small.digest() != full.digest()
    assert small[0].lmk_2d.dtype == np.float16
    for start, tempo in ((0.0, 1.0), (1.5, 1.1)):
        exact, rounded = (window_of(store[0], start, tempo) for store in (full, small))
        for name, value in exact.items():
            assert rounded[name].dtype == np.float32
            if name not in ("lmk_2d", kind):
                np.testing.assert_array_equal(rounded[name], value)
            else:
                assert 0 < np.nanmax(np.abs(rounded[name] - value)) <= 2**-11 * np.nanmax(np.abs(value))
    window = plain_window(small[0], 0, 64)
    assert {value.dtype for value in window.values()} == {np.dtype(np.float32)}


def test_equal_data_give_equal_bytes_and_an_equal_digest(files: Files, tmp_path: Path) -> None:
    for turn in ("a", "b"):
        pack_face("A1", files.coefficients[0], files.clips[0], tmp_path / turn / "A1.h5")
        pack_audio("A1", "waveform", tmp_path / turn / "A1.h5", files.audio[0], tmp_path / turn / "audio.h5")
    assert (tmp_path / "a/A1.h5").read_bytes() == (tmp_path / "b/A1.h5").read_bytes()
    assert (tmp_path / "a/audio.h5").read_bytes() == (tmp_path / "b/audio.h5").read_bytes()
    with_copy = [tmp_path / "a/A1.h5", *files.packed()[1:]]
    digests = [PackedClips(files.manifest, "train", face=face).digest() for face in (files.packed(), with_copy)]
    assert digests[0] == digests[1]


@pytest.mark.parametrize("name", ["exp", "shape", "lmk_2d", "log_mel"])
def test_the_digest_follows_the_content_that_is_read(files: Files, tmp_path: Path, name: str) -> None:
    before = packed_clips(files).digest()
    motion_before = PackedClips(files.manifest, "train", face=files.packed()).digest()
    source = {"lmk_2d": files.clips, "log_mel": files.audio}.get(name, files.coefficients)[0]
    changed = tmp_path / source.name
    changed.write_bytes(source.read_bytes())
    with h5py.File(changed, "r+") as file:
        values = file["happy/level_1/000"][{"lmk_2d": "landmarks"}.get(name, name)]
        values[...] = values[()] + np.float32(0.5)
    kind = {"lmk_2d": "clips", "log_mel": "audio"}.get(name, "coefficients")
    other = replace(files, **{kind: [changed, *getattr(files, kind)[1:]]})
    assert packed_clips(other).digest() != before
    same_motion = PackedClips(files.manifest, "train", face=other.packed()).digest() == motion_before
    assert same_motion == (name in ("lmk_2d", "log_mel"))


def _sums(clips: PackedClips, queue: object) -> None:
    opened_before = len(clips._opened) if clips._process == os.getpid() else 0
    queue.put((opened_before, [float(clips[index].exp.sum()) for index in range(len(clips))]))


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_each_process_opens_the_files_itself(files: Files, start: str) -> None:
    clips = packed_clips(files)
    expected = [float(clips[index].exp.sum()) for index in range(len(clips))]
    assert clips._opened
    context = get_context(start)
    queue = context.Queue()
    process = context.Process(target=_sums, args=(clips, queue))
    process.start()
    opened_before, sums = queue.get(timeout=60)
    process.join()
    assert opened_before == 0
    assert sums == expected


@pytest.mark.parametrize("kind", sorted(set(AUDIO_OF_PRESET.values())))
def test_parts_of_clips_have_the_numbers_of_whole_clips(files: Files, kind: str) -> None:
    clips = packed_clips(files, kind)
    places = [(4, slice(3, 40)), (0, None), (1, slice(0, clips.frames_of(1))), (4, slice(7, 8)), (2, slice(5, 5))]
    # The memory of parts that are still in use is not given again.
    parts = [*clips.parts(places), *clips.parts(places)]
    for part, (index, frames) in zip(parts, 2 * places, strict=True):
        whole = clips[index] if frames is None else cut(clips[index], frames)
        for field in fields(whole):
            mine, theirs = getattr(part, field.name), getattr(whole, field.name)
            np.testing.assert_array_equal(mine, theirs)
            assert mine is None or mine.dtype == theirs.dtype
    begin = parts[0].exp.ctypes.data
    del part, parts, mine
    assert clips.parts(places)[0].exp.ctypes.data == begin


def test_batches_have_the_windows_that_are_read_alone(files: Files) -> None:
    clips = packed_clips(files)
    drawing = Drawing(seed=1, length=20, per_clip=2, batch_size=4)
    odds = PublishedMaskOdds()
    datasets = [
        WindowDataset(clips, seed=1, masks=MaskSettings(), augment=AugmentSettings(), tempo=tempo, length=20)
        for tempo in (0.0, 0.1)
    ] + [PublishedWindows(clips, drawing, odds=lambda epoch, item: odds)]
    for dataset in datasets:
        together = dataset.__getitems__(range(8))
        for index, sample in enumerate(together):
            for name, value in dataset[index].items():
                np.testing.assert_array_equal(sample[name], value)


def test_a_file_that_is_cut_off_while_it_is_read_is_named(files: Files, tmp_path: Path) -> None:
    file = tmp_path / "A1.h5"
    file.write_bytes(files.packed()[0].read_bytes())
    opened = PackedFile(file).open()
    os.truncate(file, 4096)
    with pytest.raises(AssetError, match=r"A1\.h5: is cut off; pack the training data again"):
        opened.read("lmk_2d", slice(40, 41), np.empty(468 * 2 * 4, np.uint8))


def test_no_file_is_opened_for_a_window(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    clips = packed_clips(files)
    for index in range(len(clips)):
        clips.parts([(index, slice(0, 1)), (index, None)])

    def refuse(*arguments: object, **named: object) -> None:
        raise AssertionError("a file is opened")

    monkeypatch.setattr(h5py, "File", refuse)
    monkeypatch.setattr(Path, "open", refuse)
    monkeypatch.setattr(os, "open", refuse)
    assert sum(float(clips[index].exp.sum()) for index in range(len(clips))) != 0
    assert all(len(part) == 9 for part in clips.parts([(index, slice(1, 10)) for index in range(len(clips))]))


def test_columns_of_a_table_lie_together_and_are_read_as_they_were_written(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    arrays = {
        "exp": rng.standard_normal((7, 5)).astype(np.float32),
        "known": rng.random(7) > 0.5,
        "jaw": rng.standard_normal((7, 3)).astype(np.float16),
        "shape": rng.standard_normal(4).astype(np.float32),
    }
    columns = [
        Column("exp", (5,), table="motion"),
        Column("known", (), np.dtype(bool), table="motion"),
        Column("jaw", (3,), np.dtype(np.float16), table="motion"),
        Column("shape", (4,), rate=0),
    ]
    write_packed(tmp_path / "A.h5", {"c1": 7}, columns, lambda clip: arrays, {})
    with h5py.File(tmp_path / "A.h5") as file:
        assert file["motion"].dtype.names == ("exp", "known", "jaw")
    packed = PackedFile(tmp_path / "A.h5")
    assert [packed.table_of(name) for name in arrays] == ["motion", "motion", "motion", "shape"]
    opened = packed.open()
    memory = np.empty(opened.size("motion", slice(2, 6)), np.uint8)
    part = opened.read("motion", slice(2, 6), memory)
    for name, value in part.items():
        assert value.dtype == arrays[name].dtype == opened.arrays[name].dtype
        np.testing.assert_array_equal(value, arrays[name][2:6])
        np.testing.assert_array_equal(opened.arrays[name], arrays[name])


def test_a_file_of_an_earlier_version_is_refused(files: Files, tmp_path: Path) -> None:
    old = tmp_path / "A1.h5"
    old.write_bytes(files.packed()[0].read_bytes())
    with h5py.File(old, "r+") as file:
        del file["shape"].attrs["sha256:shape"]
    with pytest.raises(AssetError, match=r"not a packed file .* delete it and pack the data again"):
        PackedFile(old)


def memory_of_files() -> int:
    """KiB of mapped files in the memory of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssFile"))


def test_pages_that_were_read_do_not_stay_in_memory(tmp_path: Path) -> None:
    rows = 2000
    column = Column("lmk_2d", (468, 2))
    values = {"lmk_2d": np.ones((rows, 468, 2), np.float32)}
    write_packed(tmp_path / "A.h5", {f"{n}": rows for n in range(8)}, [column], lambda clip: values, {})
    file = PackedFile(tmp_path / "A.h5").open()
    before = memory_of_files()
    assert float(file.arrays["lmk_2d"].sum(dtype=np.float64)) == 8 * rows * 468 * 2
    assert memory_of_files() - before > 40_000
    file.forget()
    assert memory_of_files() - before < 8_000
    assert (file.arrays["lmk_2d"][::1000] == 1).all()


def pages_in_cache(path: Path) -> float:
    """Fraction of a file's pages that the system holds in its cache."""
    size = path.stat().st_size
    pages = -(-size // mmap.PAGESIZE)
    held = (ctypes.c_ubyte * pages)()
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped:
        begin = np.frombuffer(mapped, np.uint8).ctypes.data
        assert ctypes.CDLL(None, use_errno=True).mincore(ctypes.c_void_p(begin), ctypes.c_size_t(size), held) == 0
    return sum(page & 1 for page in held) / pages


@pytest.mark.parametrize(("frames", "read_ahead"), [(250, True), (5000, False)])
def test_short_clips_are_read_from_the_disk_in_one_go(tmp_path: Path, frames: int, read_ahead: bool) -> None:
    path = tmp_path / "M003.h5"
    values = np.random.default_rng(0).standard_normal((frames, 468, 2)).astype(np.float32)
    coefficients = {name: np.zeros((frames, 3), np.float32) for name in ("exp", "jaw", "global_pose", "cam")}
    arrays = {"lmk_2d": values, **coefficients, "shape": np.zeros(4, np.float32)}
    columns = [
        Column(name, array.shape[1:] or array.shape, rate=int(name != "shape")) for name, array in arrays.items()
    ]
    write_packed(path, {"c1": frames}, columns, lambda clip: arrays, {"subject": "M003"})
    manifest = tmp_path / "manifest.csv"
    manifest.write_text("subject,clip,split,status\nM003,c1,train,ok\n", encoding="utf-8")
    clips = PackedClips(manifest, "train", face=[path], landmarks=True)
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    if pages_in_cache(path) > 0.5:
        pytest.skip("this file system keeps its files in memory")
    clip = clips[0]
    for _ in range(100):
        if pages_in_cache(path) > 0.9:
            break
        time.sleep(0.05 if read_ahead else 0.001)
    assert (pages_in_cache(path) > 0.9) == read_ahead
    np.testing.assert_array_equal(clip.lmk_2d, values)


def test_faults_are_named(files: Files, tmp_path: Path) -> None:
    with pytest.raises(AssetError, match=r"A1\.h5: holds no speech, which the denoiser reads"):
        PackedClips(files.manifest, "train", face=files.packed(), audio=files.packed("log_mel"), audio_as="speech")
    face = files.packed()
    with pytest.raises(AssetError, match="no file of subject A1"):
        PackedClips(files.manifest, "train", face=face[1:])
    with pytest.raises(AssetError, match="does not exist"):
        PackedClips(files.manifest, "train", face=[tmp_path / "A1.h5", *face[1:]])
    cut_off = tmp_path / "A1.h5"
    cut_off.write_bytes(face[0].read_bytes()[:-5000])
    with pytest.raises(AssetError, match="not a packed file"):
        PackedClips(files.manifest, "train", face=[cut_off, *face[1:]])
    cut_off.write_bytes(face[1].read_bytes())
    clips = PackedClips(files.manifest, "train", face=[cut_off, *face[1:]])
    cut_off.write_bytes(face[0].read_bytes())
    with pytest.raises(AssetError, match="was replaced or deleted while it was used"):
        clips[0]
    with h5py.File(tmp_path / "few.h5", "w") as few, h5py.File(files.coefficients[0]) as whole:
        whole.copy("happy/level_1/000", few, "happy/level_1/000")
    pack_face("A1", tmp_path / "few.h5", files.clips[0], cut_off)
    with pytest.raises(AssetError, match=r"clip happy/level_1/001 is missing, which the manifest lists"):
        PackedClips(files.manifest, "train", face=[cut_off, *face[1:]])
    other_head = replace(HeadAsset.load(files.head), name="other")
    with h5py.File(cut_off, "r+") as file:
        file.attrs["head_name"] = "small"
    with pytest.raises(AssetError, match="belongs to the head model 'small'"):
        PackedClips(files.manifest, "train", face=[cut_off, *face[1:]], head=other_head)


def test_clips_without_audio_are_left_out_of_packed_audio(files: Files, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "audio.h5", "w") as some, h5py.File(files.audio[0]) as whole:
        whole.copy("happy/level_1/001", some, "happy/level_1/001")
    pack_audio("A1", "waveform", files.packed()[0], tmp_path / "audio.h5", tmp_path / "A1.h5")
    packed = PackedFile(tmp_path / "A1.h5")
    assert list(packed.places) == ["happy/level_1/001"]
    rate, _ = AUDIO["waveform"]
    assert packed.rows("happy/level_1/001", rate) == slice(0, 640 * 50)


def test_a_subject_without_usable_clips_has_an_empty_file(files: Files, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "none.h5", "w") as file:
        file.attrs["head_name"] = "small"
    pack_face("A1", tmp_path / "none.h5", files.clips[0], tmp_path / "A1.h5")
    pack_audio("A1", "log_mel", tmp_path / "A1.h5", files.audio[0], tmp_path / "audio.h5")
    assert PackedFile(tmp_path / "A1.h5").places == {}
    assert PackedFile(tmp_path / "audio.h5").open().arrays["log_mel"].size == 0
