"""The stage that recognises phones: the same phones as the recogniser, chunks, and clips that cannot be read."""

from __future__ import annotations

import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

sys.path += [str(Path(__file__).resolve().parent.parent)]

from small_data import write_small_data

from occlufacediff.errors import OccluFaceError
from occlufacediff.speech.phones import read_phones
from occlufacediff.speech.recognition import recognise_phones
from occlufacediff.stages.phones import recognise_subject
from occlufacediff.workflow.shards import read_index


def test_phones_of_chunks_are_those_of_the_recogniser(tmp_path: Path) -> None:
    audio = write_small_data(tmp_path).audio[0]
    whole, chunked = tmp_path / "whole" / "A1.h5", tmp_path / "chunked" / "A1.h5"
    recognise_subject("A1", audio, whole, whole.with_suffix(".csv"))
    for chunk in ("1of2", "2of2", None):
        recognise_subject("A1", audio, chunked, chunked.with_suffix(".csv"), chunk=chunk)
    assert whole.read_bytes() == chunked.read_bytes()
    assert [row["status"] for row in read_index(whole.with_suffix(".csv"))] == ["ok", "ok"]
    with h5py.File(audio) as sound, h5py.File(whole) as stored:
        for clip in ("happy/level_1/000", "happy/level_1/001"):
            expected, found = recognise_phones(sound[clip]["waveform"][()]), read_phones(stored[clip])
            assert found.names == expected.names
            np.testing.assert_array_equal(found.starts, expected.starts)
            np.testing.assert_array_equal(found.ends, expected.ends)


def test_a_clip_without_phones_ends_the_stage_with_its_name(tmp_path: Path) -> None:
    audio = write_small_data(tmp_path).audio[0]
    with h5py.File(audio, "r+") as file:
        file["happy/level_1/001/waveform"][100] = np.nan
    with pytest.raises(
        OccluFaceError, match=r"phones of 1 of 2 clips cannot be recognised, first of happy/level_1/001"
    ):
        recognise_subject("A1", audio, tmp_path / "A1.h5", tmp_path / "A1.csv")
