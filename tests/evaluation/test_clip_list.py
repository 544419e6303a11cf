"""The published list of clips, and options that narrow it."""

from __future__ import annotations

import pytest

from occlufacediff.config.evaluation import ClipFilter, EvaluationSettings
from occlufacediff.errors import ConfigError
from occlufacediff.evaluation.clip_list import ListedClip, clip_list

CLIPS = (
    ListedClip("M003", "happy/level_1/001", "0", 80),
    ListedClip("M003", "sad/level_3/002", "4", 24),
    ListedClip("M005", "sad/level_2/003", "4", 25),
    ListedClip("W011", "neutral/level_1/004", "9", 100),
    ListedClip("W011", "angry/level_4/001", "2", 100),
)


def chosen(**settings: object) -> list[int]:
    return list(clip_list(CLIPS, EvaluationSettings(**settings)).chosen)


def test_our_list_is_the_split() -> None:
    assert chosen() == [0, 1, 2, 3, 4]
    assert chosen(max_clips=3) == [0, 2, 4]


def test_the_published_list_skips_short_clips_and_has_three_levels() -> None:
    found = clip_list(CLIPS, EvaluationSettings(protocol="published"))
    assert found.chosen == (0, 2, 3)
    assert list(found.skipped) == [1]
    assert found.skipped[1] == "24 frames; the published protocol skips clips of fewer than 25"


@pytest.mark.parametrize("protocol", ["default", "published"])
def test_options_narrow_the_list(protocol: str) -> None:
    def left(**only: object) -> list[int]:
        return chosen(protocol=protocol, only=ClipFilter(**only))

    assert left(subjects=("W011",), levels=(1,)) == [3]
    assert left(sentences=("4",), emotions=("sad",), subjects=("M005",)) == [2]
    assert left(levels=(1,)) == [0, 3]
    with pytest.raises(ConfigError, match=r"evaluation\.only: none of the 5 clips of the split test is left"):
        left(emotions=("contempt",))


def test_clips_of_other_data_sets_have_no_level() -> None:
    clips = (ListedClip("anna", "talk", "", 60),)
    assert clip_list(clips, EvaluationSettings(protocol="published")).chosen == (0,)
    with pytest.raises(ConfigError, match="is left"):
        clip_list(clips, EvaluationSettings(only=ClipFilter(levels=(1,))))


def test_the_published_protocol_has_the_published_sampling() -> None:
    published = EvaluationSettings(protocol="published")
    assert (published.sampling.solver, published.sampling.steps) == ("ddim", 100)
    assert (published.sampling.hop, published.sampling.refine) == (64, False)
    assert published.sampling_note == "ddim, 100 steps, windows side by side, no guidance, no last fit"
    ours = EvaluationSettings().sampling
    assert (ours.solver, ours.steps, ours.hop, ours.refine) == ("ddim", 10, 32, True)
    few = EvaluationSettings(protocol="published", steps=2, guidance_all=2.5, guidance_audio=0.5)
    assert "2 steps" in few.sampling_note
    assert "guidance: all 2.5, audio 0.5" in few.sampling_note
    with pytest.raises(ValueError, match="needs both or none in the published protocol"):
        EvaluationSettings(protocol="published", guidance_audio=0.5)
