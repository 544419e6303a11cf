"""Plan of the synthetic data set: disjoint splits without unused sentences, names in the style of MEAD."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from occlufacediff.config.load import check_settings
from occlufacediff.config.synthetic import KNOWN_EMOTIONS, SyntheticSettings
from occlufacediff.errors import ConfigError
from occlufacediff.synthetic import plan, sentences


def sizes() -> st.SearchStrategy[SyntheticSettings]:
    """Settings of data sets of many sizes."""
    return st.builds(
        SyntheticSettings,
        scale=st.integers(1, 3),
        training_subjects=st.integers(1, 4),
        validation_subjects=st.integers(1, 2),
        test_subjects=st.integers(1, 3),
        training_clips=st.integers(1, 25),
        held_out_clips=st.integers(1, 14),
        shared_sentences=st.integers(0, 12),
        emotions=st.lists(st.sampled_from(KNOWN_EMOTIONS), min_size=1, unique=True).map(tuple),
    )


def test_the_default_size_is_the_documented_one() -> None:
    default = SyntheticSettings()
    clips = plan.all_clips(default)
    assert len(clips) == 100
    assert plan.split_subjects(default) == {
        "train": ["M101", "W101", "M102", "W102", "M103"],
        "validation": ["W103"],
        "test": ["M104", "W104"],
    }
    spoken_by = defaultdict(set)
    for clip in clips:
        spoken_by[clip.text].add(clip.subject)
    assert sum(len(by) == 5 for by in spoken_by.values()) == 10
    assert {clip.emotion for clip in clips} == set(default.emotions)
    assert {clip.level for clip in clips if clip.emotion == "happy"} == {1, 2, 3}
    assert {clip.level for clip in clips if clip.emotion == "neutral"} == {1}


@settings(max_examples=40, deadline=None)
@given(sizes())
def test_splits_share_neither_subjects_nor_sentences_nor_texts(size: SyntheticSettings) -> None:
    subjects, ids = plan.split_subjects(size), plan.split_sentences(size)
    used: dict[str, set[int]] = {split: set() for split in plan.SPLITS}
    texts: dict[str, set[str]] = {split: set() for split in plan.SPLITS}
    for split, names in subjects.items():
        for name in names:
            clips = plan.subject_clips(name, size)
            assert len(clips) == (size.training_clips if split == "train" else size.held_out_clips)
            assert len({clip.clip for clip in clips}) == len(clips)
            used[split] |= {clip.sentence_id for clip in clips}
            texts[split] |= {clip.text for clip in clips}
    for split in plan.SPLITS:
        assert used[split] == set(ids[split])
        assert len(texts[split]) == len(ids[split])
    for one, other in (("train", "validation"), ("train", "test"), ("validation", "test")):
        assert not set(subjects[one]) & set(subjects[other])
        assert not used[one] & used[other]
        assert not texts[one] & texts[other]


def test_clip_paths_follow_mead() -> None:
    for clip in plan.all_clips(SyntheticSettings()):
        assert re.fullmatch(r"[a-z]+/level_[123]/\d{3}", clip.clip)
        assert re.fullmatch(r"[MW]\d{3}", clip.subject)
        assert clip.clip_id == f"{clip.subject}/{clip.clip}"


def test_a_large_data_set_has_thousands_of_clips_with_distinct_sentences() -> None:
    large = SyntheticSettings(scale=25)
    clips = plan.all_clips(large)
    assert len(clips) == 2500
    assert len({clip.text for clip in clips}) == 10 + 10 + 10 + 25 * 5 * 4


def test_composed_sentences_are_distinct_and_limited() -> None:
    texts = [sentences.composed_sentence(number) for number in range(0, sentences.N_COMPOSED, 7)]
    assert len(set(texts)) == len(texts)
    with pytest.raises(ValueError, match=r"lower synthetic\.scale"):
        sentences.composed_sentence(sentences.N_COMPOSED)


def test_an_unknown_subject_is_reported_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"M999.*M101"):
        plan.subject_clips("M999", SyntheticSettings())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("scale", 0),
        ("picture_size", 511),
        ("emotions", ("joy",)),
        ("emotions", ()),
        ("min_seconds", 5.0),
        ("max_seconds", 1.0),
        ("video_quality", 99),
        ("distractor_strength", -1.0),
    ],
)
def test_bad_settings_name_the_field(field: str, value: object) -> None:
    with pytest.raises((ValueError, ConfigError), match=r"seconds|" + field):
        check_settings(SyntheticSettings(**{field: value}))


def test_the_plan_needs_the_standard_library_only() -> None:
    code = (
        "import sys; import occlufacediff.synthetic.plan; "
        "print([name for name in ('numpy', 'torch', 'scipy', 'pandas') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
