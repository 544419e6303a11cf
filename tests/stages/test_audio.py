"""The sound stage."""

from __future__ import annotations

import h5py
import numpy as np
from preprocessed import Shard

from occlufacediff.workflow.shards import read_index


def test_rows_and_arrays(shard: Shard) -> None:
    rows = {row["clip"]: row for row in read_index(shard.audio_index)}
    reasons = {clip: row["reason"] for clip, row in rows.items() if row["status"] == "failed"}
    assert reasons == {
        "sad/level_1/003": "broken_video",
        "sad/level_1/004": "broken_video",
        "sad/level_2/005": "no_audio",
        "sad/level_2/006": "audio_mismatch",
    }
    assert rows["happy/level_1/001"]["source"] == "archive"
    assert rows["happy/level_2/003"]["source"] == "video"
    assert rows["happy/level_1/001"]["silent"] == "0"
    frames = {row["clip"]: int(row["frames"]) for row in read_index(shard.video_index) if row["frames"]}
    with h5py.File(shard.audio) as file:
        for clip in ("happy/level_1/001", "happy/level_1/002", "happy/level_2/003"):
            waveform, mel = file[clip]["waveform"], file[clip]["log_mel"]
            assert waveform.shape == (frames[clip] * 640,)
            assert mel.shape == (frames[clip] * 4, 80)
            assert waveform.dtype == mel.dtype == np.float32
        assert "sad/level_2/005" not in file
    assert int(rows["happy/level_1/001"]["samples_added"]) > 0
