"""Clips from disk, windows, augmentation, batches."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import torch

sys.path += [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parent.parent)]

from few_points import of_68
from small_data import Files, write_small_data

from occlufacediff.config.occlusion import MaskSettings
from occlufacediff.config.training import AugmentSettings
from occlufacediff.datasets.clips import fit_rows
from occlufacediff.datasets.packed import PackedClips
from occlufacediff.datasets.store import ClipStore
from occlufacediff.errors import AssetError, ConfigError
from occlufacediff.models.conditions import Conditions, GuidanceBranch, SampleInput
from occlufacediff.speech import recognition
from occlufacediff.speech.feature_columns import N_BANDS, N_FEATURES
from occlufacediff.speech.features import speech_features
from occlufacediff.speech.phones import PHONES, SILENCE
from occlufacediff.training.augmentation import augment_landmarks, augment_log_mel
from occlufacediff.training.resampling import resample, window_of
from occlufacediff.training.windows import WindowDataset, batches, fixed_windows


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return write_small_data(tmp_path_factory.mktemp("data"))


def store_of(files: Files, split: str = "train", audio_as: str = "log_mel", phones: bool = True) -> ClipStore:
    return ClipStore(
        files.manifest,
        split,
        coefficients=files.coefficients,
        clips=files.clips,
        audio=files.audio,
        audio_as=audio_as,
        phones=[files.phones(path) for path in files.audio] if audio_as == "speech" and phones else None,
    )


def test_store_gives_the_usable_clips_of_its_split(files: Files) -> None:
    store = store_of(files)
    assert len(store) == 4
    assert store.clip_id(0) == "A1/happy/level_1/000"
    clip = store[1]
    assert clip.motion.shape == (50, 9)
    assert clip.lmk_2d is not None
    assert clip.lmk_2d.shape == (50, 468, 2)
    assert clip.log_mel is not None
    assert clip.log_mel.shape == (200, 80)
    wave = store_of(files, audio_as="waveform")[0].waveform
    assert wave is not None
    assert abs(wave.mean()) < 1e-5
    assert abs(wave.std() - 1) < 1e-3


def test_speech_features_are_computed_from_recognised_phones(files: Files) -> None:
    clip = store_of(files, audio_as="speech")[1]
    assert clip.log_mel is not None
    assert clip.log_mel.shape == (4 * len(clip.exp), N_FEATURES)
    np.testing.assert_allclose(clip.log_mel[:, N_BANDS:].sum(axis=1), 1.0, atol=1e-5)
    with h5py.File(files.audio[0]) as file:
        group = file["happy/level_1/001"]
        np.testing.assert_array_equal(clip.log_mel, speech_features(group["waveform"][()], group["log_mel"][()]))


def test_reading_clips_recognises_no_phones(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    """The recogniser is slow, and a clip is read for each of its windows."""
    store = store_of(files, audio_as="speech")
    packed = files.packed("speech")

    def refuse(samples: bytes) -> list[tuple[str, float]]:
        raise AssertionError("phones are recognised")

    monkeypatch.setattr(recognition, "_decode_phones", refuse)
    clips = PackedClips(files.manifest, "train", face=files.packed(), audio=packed, audio_as="speech")
    for index in range(len(store)):
        np.testing.assert_array_equal(clips[index].log_mel, store[index].log_mel)


def test_speech_without_phones_is_refused(files: Files) -> None:
    store = ClipStore(files.manifest, "train", coefficients=files.coefficients, audio=files.audio, audio_as="speech")
    with pytest.raises(AssetError, match="recognise its phones first"):
        store[0]


def test_store_names_what_is_missing(files: Files, tmp_path: Path) -> None:
    with pytest.raises(AssetError, match="no usable clip in the unused split"):
        store_of(files, "unused")
    with pytest.raises(AssetError, match="no file of subject A1"):
        store_of(replace(files, clips=files.clips[1:]))
    with pytest.raises(AssetError, match="does not exist"):
        store_of(replace(files, audio=[tmp_path / "A1.h5"]))
    (tmp_path / "A1.h5").write_bytes(b"not hdf5")
    with pytest.raises(AssetError, match="not a readable HDF5"):
        store_of(replace(files, audio=[tmp_path / "A1.h5", *files.audio[1:]]))[0]
    with h5py.File(tmp_path / "A2.h5", "w") as file:
        file["x"] = 1
    with pytest.raises(AssetError, match=r"A2.h5: clip happy/level_1/000 is missing"):
        store_of(replace(files, audio=[files.audio[0], tmp_path / "A2.h5", *files.audio[2:]]))[2]
    table = tmp_path / "manifest.csv"
    table.write_text("subject,clip\nA1,x\n")
    with pytest.raises(AssetError, match="columns"):
        store_of(replace(files, manifest=table))


@pytest.mark.parametrize("kind", ["coefficients", "clips", "audio"])
def test_changed_files_of_the_same_size_are_other_data(files: Files, tmp_path: Path, kind: str) -> None:
    """Else a training that was killed would go on with data that it did not begin with."""
    before = store_of(files).digest()
    shutil.copytree(files.manifest.parent, tmp_path, dirs_exist_ok=True)
    moved = replace(
        files,
        manifest=tmp_path / "manifest.csv",
        **{name: [tmp_path / name / path.name for path in getattr(files, name)] for name in ("clips", "audio")},
        coefficients=[tmp_path / "coefficients" / path.name for path in files.coefficients],
    )
    assert store_of(moved).digest() == before
    of_another_split = getattr(moved, kind)[-1]
    of_another_split.write_bytes(of_another_split.read_bytes() + b"x")
    assert store_of(moved).digest() == before
    of_another_split.unlink()
    assert store_of(moved).digest() == before
    path = getattr(moved, kind)[0]
    about = path.stat()
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    if kind == "coefficients":
        os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))
    assert store_of(moved).digest() != before


def test_resampling_is_linear_and_holds_the_ends() -> None:
    values = np.arange(5, dtype=np.float32)[:, None] * [1.0, 2.0]
    got = resample(values.astype(np.float32), np.array([-3.0, 0.0, 0.5, 3.25, 4.0, 9.0]))
    np.testing.assert_allclose(got[:, 0], [0, 0, 0.5, 3.25, 4, 4])
    assert resample(values[:1].astype(np.float32), np.array([0.0, 2.0])).shape == (2, 2)


def test_a_short_clip_is_held_and_silent_after_its_end(files: Files) -> None:
    clip = store_of(files)[1]
    sample = window_of(clip, 0, 1.0)
    assert (sample["exp"][50:] == clip.exp[-1]).all()
    assert clip.log_mel is not None
    assert (sample["log_mel"][200:] == clip.log_mel.min()).all()
    np.testing.assert_allclose(sample["log_mel"][:200], clip.log_mel, atol=1e-6)


def test_after_its_end_a_clip_says_no_phone(files: Files) -> None:
    """Shares of phones stay shares: what a silent band holds, about -3, is none."""
    clip = store_of(files, audio_as="speech")[1]
    assert clip.log_mel is not None
    after = window_of(clip, 0, 1.0)["log_mel"][200:]
    assert (after[:, :N_BANDS] == clip.log_mel[:, :N_BANDS].min()).all()
    assert (after[:, N_BANDS:] == [name == SILENCE for name in PHONES]).all()


@pytest.mark.parametrize("audio_as", ["log_mel", "speech", "waveform"])
def test_sampling_fills_a_short_clip_as_training_does(files: Files, audio_as: str) -> None:
    clip = store_of(files, audio_as=audio_as)[1]
    audio = clip.waveform if audio_as == "waveform" else clip.log_mel
    assert clip.lmk_2d is not None
    assert audio is not None
    given = SampleInput(
        "a", torch.from_numpy(clip.lmk_2d), torch.ones(clip.lmk_2d.shape[:2]), torch.from_numpy(audio.copy())
    )
    encoder = "wav2vec2" if audio_as == "waveform" else audio_as
    denoiser = SimpleNamespace(config=SimpleNamespace(audio=encoder))
    conditions = Conditions(denoiser, [GuidanceBranch(True, True, 1.0)], use_audio=True)
    lmk, _, used = conditions._window_inputs(given, 0)
    trained = window_of(clip, 0, 1.0)
    np.testing.assert_allclose(lmk, trained["lmk_2d"], atol=1e-6)
    np.testing.assert_allclose(used, trained["waveform" if audio_as == "waveform" else "log_mel"], atol=1e-6)


def test_audio_shorter_than_its_clip_ends_in_silence(files: Files, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "A1.h5", "w") as file:
        file["happy/level_1/000/log_mel"] = np.full((270, 80), 2.0, np.float32)
        file["happy/level_1/000/speech"] = np.eye(N_FEATURES, dtype=np.float32)[np.full(270, N_BANDS)] - 1
    short = replace(files, audio=[tmp_path / "A1.h5", *files.audio[1:]])
    mel, audio = (store_of(short, audio_as=audio_as, phones=False)[0].log_mel for audio_as in ("log_mel", "speech"))
    assert mel is not None
    assert audio is not None
    assert (mel[270:] == 2.0).all()
    assert (audio[270:, :N_BANDS] == -1).all()
    assert (audio[270:, N_BANDS:] == [name == SILENCE for name in PHONES]).all()


def test_audio_stays_in_step_with_the_motion_at_any_tempo(files: Files) -> None:
    clip = store_of(files)[0]
    sample = window_of(clip, 3.0, 0.9)
    loud = sample["log_mel"].reshape(64, 4, 80).mean((1, 2))
    assert np.corrcoef(loud, sample["exp"][:, 0])[0, 1] > 0.97


def test_a_waveform_stays_in_step_with_the_motion_at_any_tempo(files: Files) -> None:
    clip = store_of(files, audio_as="waveform")[0]
    clip = replace(clip, waveform=np.repeat(clip.exp[:, 0], 640))
    for start, tempo in ((3.0, 0.9), (10.4, 1.12), (len(clip) - 50.0, 1.0)):
        sample = window_of(clip, start, tempo)
        assert sample["waveform"].shape == (64 * 640,)
        inside = start + tempo * np.arange(64) < len(clip) - 1
        audio = sample["waveform"][::640]
        # Steps of a frame: a sample is that of the frame it lies in.
        frames = np.floor(start + tempo * np.arange(64) + 1e-6).astype(int)
        np.testing.assert_allclose(audio[inside], clip.exp[frames[inside], 0], atol=1e-4)
        assert not audio[start + tempo * np.arange(64) > len(clip)].any()


def test_items_depend_on_seed_and_number_alone(files: Files) -> None:
    store = store_of(files)
    made = WindowDataset(store, seed=3, augment=AugmentSettings(), masks=MaskSettings(), tempo=0.1)
    for index in (0, 1, 7, 12345):
        first, second = made[index], made[index]
        assert all(np.array_equal(first[name], second[name]) for name in first)
    again = WindowDataset(store, seed=3, augment=AugmentSettings(), masks=MaskSettings(), tempo=0.1)
    assert np.array_equal(again[7]["log_mel"], made[7]["log_mel"])
    assert len({made[index]["lmk_mask"].tobytes() for index in range(0, 48, 4)}) > 4


def test_each_round_goes_through_all_clips_in_an_order_of_its_own(files: Files) -> None:
    store = store_of(files)
    plain = WindowDataset(store, seed=3)
    shapes = [store[number].shape for number in range(4)]
    assert len({shape.tobytes() for shape in shapes}) == 4

    def clip_of(item: int) -> int:
        return next(number for number, shape in enumerate(shapes) if np.array_equal(shape, plain[item]["shape"]))

    rounds = [[clip_of(4 * turn + place) for place in range(4)] for turn in range(6)]
    assert all(sorted(order) == [0, 1, 2, 3] for order in rounds)
    assert len({tuple(order) for order in rounds}) > 1


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_do_not_depend_on_workers_or_where_one_begins(files: Files, workers: int) -> None:
    dataset = WindowDataset(store_of(files), seed=1, augment=AugmentSettings(), masks=MaskSettings())
    late = list(batches(dataset, first=2, last=4, size=3, workers=workers))
    whole = list(batches(dataset, first=0, last=4, size=3, workers=0))
    assert len(whole) == 4
    assert all((late[1][name] == whole[3][name]).all() for name in whole[3])
    assert late[0]["lmk_2d"].shape == (3, 64, 468, 2)


def test_processes_share_each_batch_in_its_order(files: Files) -> None:
    dataset = WindowDataset(store_of(files), seed=1, augment=AugmentSettings(), masks=MaskSettings())
    whole = list(batches(dataset, first=1, last=3, size=4, workers=0))
    parts = [list(batches(dataset, first=1, last=3, size=4, workers=0, share=(process, 2))) for process in (0, 1)]
    for number, batch in enumerate(whole):
        for name, value in batch.items():
            assert torch.equal(torch.cat([part[number][name] for part in parts]), value)
    with pytest.raises(ConfigError, match=r"batch_size: got 5, needs a multiple of the number of processes, .* 2"):
        batches(dataset, first=0, last=1, size=5, workers=0, share=(0, 2))


class LastWindow:
    """The last window of the last clip."""

    def clip_of(self, index: int, clips: int) -> int:
        return clips - 1

    def start_of(self, frames: int, length: int, rng: np.random.Generator) -> tuple[float, float]:
        return float(frames - length), 1.0


@pytest.mark.parametrize("length", [16, 32])
def test_a_drawing_places_windows_of_any_length(files: Files, length: int) -> None:
    store = store_of(files)
    dataset = WindowDataset(
        store, seed=1, augment=AugmentSettings(), masks=MaskSettings(), length=length, drawing=LastWindow()
    )
    sample = dataset[5]
    assert {len(value) for name, value in sample.items() if name not in ("shape", "log_mel")} == {length}
    assert sample["log_mel"].shape == (4 * length, 80)
    np.testing.assert_array_equal(sample["exp"], store[len(store) - 1].exp[-length:])


def test_each_sample_has_its_own_mask(files: Files) -> None:
    dataset = WindowDataset(store_of(files), seed=1, masks=MaskSettings())
    batch = next(iter(batches(dataset, first=0, last=1, size=12, workers=0)))
    masks = {mask.numpy().tobytes() for mask in batch["lmk_mask"]}
    assert len(masks) > 4


@pytest.mark.parametrize("region", ["eyes", "mouth", "random", "contour"])
def test_masks_go_by_the_points_that_the_detector_gives(files: Files, tmp_path: Path, region: str) -> None:
    """Of 68 points the others must not count as if they lay in the middle of the crop, wherever the face is."""
    none = dict.fromkeys(("whole", "half_frames", "nothing", "all", "eyes", "left", "right", "mouth", "random"), 0.0)
    odds = MaskSettings(**(none | {"contour": 0.0, region: 1.0}))
    masks = []
    for shift in (0.0, 0.5):
        clips = tmp_path / f"{shift}/A1.h5"
        clips.parent.mkdir()
        shutil.copyfile(files.clips[0], clips)
        with h5py.File(clips, "r+") as store:
            for clip in ("000", "001"):
                landmarks = store[f"happy/level_1/{clip}/landmarks"]
                landmarks[:, :468] = of_68(landmarks[:, :468]) + np.float32(shift)
        some = replace(files, clips=[clips, *files.clips[1:]])
        dataset = WindowDataset(store_of(some), seed=5, masks=odds)
        masks.append([dataset[index]["lmk_mask"] for index in range(8)])
    for here, there in zip(*masks, strict=True):
        assert np.array_equal(here, there)


def test_augmentation_keeps_shapes_and_has_the_asked_spread() -> None:
    rng = np.random.default_rng(0)
    points = rng.uniform(-0.5, 0.5, (64, 468, 2)).astype(np.float32)
    still = AugmentSettings(rotation=0, scale=0, scale_drift=0, shift=0, shift_drift=0, noise_px=0)
    np.testing.assert_allclose(augment_landmarks(points, rng, still), points, atol=1e-6)
    moved = np.stack([augment_landmarks(points, rng, AugmentSettings()).mean((0, 1)) for _ in range(200)])
    assert 0.04 < moved.std() < 0.09
    mel = rng.standard_normal((256, 80)).astype(np.float32)
    assert augment_log_mel(mel, rng, AugmentSettings()).shape == (256, 80)
    plain = AugmentSettings(loudness=0, slope=0, voice=0, mel_noise=0)
    np.testing.assert_allclose(augment_log_mel(mel, rng, plain), mel, atol=1e-6)


def test_validation_windows_are_always_the_same(files: Files) -> None:
    a, b = (fixed_windows(store_of(files, "validation"), 6, MaskSettings(), 5) for _ in range(2))
    assert all((a[name] == b[name]).all() for name in a)
    assert len(a["exp"]) == 6


def test_rows_are_cut_or_filled() -> None:
    rows = np.ones((3, 2), np.float32)
    assert fit_rows(rows, 2, 0.0).shape == (2, 2)
    assert fit_rows(rows, 5, -1.0)[3:].tolist() == [[-1, -1], [-1, -1]]
