"""The windows of the published recipe: how they are drawn, their audio, workers and processes."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path += [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parent.parent)]

from small_data import Files, write_small_data
from small_published import drawing, store_of

from occlufacediff.config.published_recipe import PublishedMaskOdds
from occlufacediff.datasets.clips import Clip
from occlufacediff.errors import AssetError, ConfigError
from occlufacediff.training.published_windows import PublishedWindows, plain_window
from occlufacediff.training.share import Share
from occlufacediff.training.windows import batches


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """Four training clips of 70, 64, 70 and 64 frames."""
    return write_small_data(tmp_path_factory.mktemp("published"), frames=(70, 64))


def still_clip(frames: int) -> Clip:
    """A clip whose values name their frame, with half a second of audio less than its frames."""
    row = np.arange(frames, dtype=np.float32)
    return Clip(
        exp=row[:, None].repeat(6, 1),
        jaw=row[:, None].repeat(3, 1),
        global_pose=np.zeros((frames, 3), np.float32),
        cam=np.zeros((frames, 3), np.float32),
        shape=np.zeros(4, np.float32),
        lmk_2d=np.zeros((frames, 468, 2), np.float32),
        waveform=np.arange(640 * frames - 8000, dtype=np.float32),
    )


def test_an_epoch_has_each_clip_five_times_in_an_order_of_its_own() -> None:
    windows = PublishedWindows([still_clip(64)] * 4, drawing())
    assert windows.epoch_size == 10
    orders = []
    for epoch in range(3):
        places = [windows.place(20 * epoch + item) for item in range(20)]
        assert {place[0] for place in places} == {epoch + 1}
        assert Counter(place[1] for place in places) == dict.fromkeys(range(4), 5)
        orders.append([place[1] for place in places])
    assert orders[0] != orders[1]


def test_the_last_incomplete_micro_batch_of_an_epoch_is_dropped() -> None:
    windows = PublishedWindows([still_clip(64)] * 3, drawing(batch_size=4))
    # 15 windows: 3 micro-batches of 4.
    assert windows.epoch_size == 3
    assert [windows.place(item)[0] for item in range(24)] == [1] * 12 + [2] * 12
    assert max(Counter(windows.place(item)[1] for item in range(12)).values()) <= 5


def test_short_clips_are_left_out_and_too_few_are_refused() -> None:
    windows = PublishedWindows([still_clip(63), still_clip(64), still_clip(30)], drawing())
    assert {windows.place(item)[1] for item in range(20)} == {1}
    with pytest.raises(AssetError, match="none has 64 frames"):
        PublishedWindows([still_clip(63)], drawing())
    with pytest.raises(ConfigError, match="batch_size: got 16, needs at most 5"):
        PublishedWindows([still_clip(64)], drawing(batch_size=16))


@pytest.mark.parametrize("skip", [False, True])
def test_starts_are_uniform_and_the_published_draw_never_takes_the_last(skip: bool) -> None:
    windows = PublishedWindows([still_clip(70)], drawing(skip_last_start=skip))
    starts = Counter(int(windows[item]["exp"][0, 0]) for item in range(420))
    assert set(starts) == set(range(6 if skip else 7))
    expected = 420 / len(starts)
    assert all(abs(count - expected) < 4 * np.sqrt(expected) for count in starts.values())
    assert int(PublishedWindows([still_clip(64)], drawing(skip_last_start=skip))[0]["exp"][0, 0]) == 0


def test_audio_starts_with_the_window_and_ends_with_zeros() -> None:
    clip = still_clip(100)
    window = plain_window(clip, 30, 64)
    np.testing.assert_array_equal(window["waveform"][:5], 640 * 30 + np.arange(5))
    assert len(window["waveform"]) == 40960
    known = len(clip.waveform[640 * 30 :])  # type: ignore[index]
    assert not window["waveform"][known:].any()
    assert window["waveform"][known - 1] != 0
    short = plain_window(still_clip(20), 0, 32)
    assert short["exp"][19, 0] == 19
    assert not short["exp"][20:].any()


def test_workers_and_processes_give_the_same_windows(files: Files) -> None:
    windows = PublishedWindows(
        store_of(files), drawing(batch_size=4), odds=lambda *_: PublishedMaskOdds(), spec_augment=(2, 10)
    )
    alone = list(batches(windows, first=3, last=6, size=4, workers=0))
    halves = [list(batches(windows, first=3, last=6, size=4, workers=0, share=Share(i, 2))) for i in range(2)]
    for whole, first, second in zip(alone, *halves, strict=True):
        for name, value in whole.items():
            assert torch.equal(value, torch.cat([first[name], second[name]])), name
    assert set(alone[0]["audio_masked"].unique().tolist()) == {0.0, 1.0}
