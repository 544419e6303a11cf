"""Measures of readers on cases computed by hand."""

from __future__ import annotations

import numpy as np
import pytest

from occlufacediff.readers.measures import cosine, frame_accuracy, sync_errors, top_share
from occlufacediff.readers.reading import best_path
from occlufacediff.readers.text_errors import character_error, normalised, text_errors, viseme_errors


def test_accuracy_counts_the_chosen_frames_only():
    chosen = [True, True, True, True, False]
    assert frame_accuracy([1, 2, 3, 4, 5], [1, 2, 0, 0, 5], chosen) == 0.5
    assert frame_accuracy([1], [1], [False]) is None


def test_top_share_counts_frames_with_the_label_among_the_best():
    scores = np.log([[0.5, 0.3, 0.1, 0.1], [0.1, 0.2, 0.3, 0.4], [0.25, 0.25, 0.25, 0.25], [0.3, 0.4, 0.2, 0.1]])
    # Label 1 is second, third, tied with all (counts against it), first.
    assert top_share(scores, 1, 1) == 0.25
    assert top_share(scores, 1, 3) == 0.75


def test_cosine_is_the_mean_over_frames():
    # Cosines 1, 0, -1 and a zero vector.
    first = [[2.0, 0.0], [1.0, 0.0], [0.0, 3.0], [0.0, 0.0]]
    second = [[1.0, 0.0], [0.0, 5.0], [0.0, -1.0], [1.0, 1.0]]
    assert cosine(first, second) == pytest.approx(0.0)
    assert cosine(first[:2], second[:2]) == pytest.approx(0.5)
    with pytest.raises(ValueError, match="differ in shape"):
        cosine(first, second[:2])


def test_sync_errors_on_three_windows():
    # Audio is the video one window later. At offset k, video i meets audio i + k; zeros beyond the ends.
    video = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    audio = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    root = np.sqrt(2.0)
    # -1: (1 - 0, |v1 - a0| = 1, |v2 - a1| = 0); 0: (1, root, root); +1: (0, 0, 1).
    distances = [2 / 3, (1 + 2 * root) / 3, 1 / 3]
    confidence, distance = sync_errors(video, audio, 1)
    assert distance == pytest.approx(1 / 3)
    assert confidence == pytest.approx(np.median(distances) - 1 / 3)
    with pytest.raises(ValueError, match="same shape"):
        sync_errors(video, audio[:2], 1)


def test_text_errors_by_hand():
    # "by" for "my": one word of four; two of 16 characters ("MY" to "BY" is one: m to b).
    found = text_errors("Wash my red pan!", "wash by red pan")
    assert found["wer"] == pytest.approx(1 / 4)
    assert found["cer"] == pytest.approx(1 / 15)
    # m and b are one viseme.
    assert found["vwer"] == found["ver"] == 0.0


def test_a_missing_word_counts_as_a_deletion():
    found = text_errors("two shoes", "two")
    assert found["wer"] == pytest.approx(1 / 2)
    assert found["cer"] == pytest.approx(6 / 9)
    # Visemes "tu Sus": " Sus" is missing.
    assert found["vwer"] == pytest.approx(1 / 2)
    assert found["ver"] == pytest.approx(4 / 6)


def test_nothing_read_is_an_error_of_one():
    assert set(text_errors("two shoes", "").values()) == {1.0}
    assert character_error("pat", "") == 1.0
    assert character_error("pat", "pattern") == pytest.approx(4 / 3)


def test_visemes_are_compared_as_words_and_characters():
    assert viseme_errors("pa tu", "pa ta") == {"vwer": 0.5, "ver": pytest.approx(1 / 5)}


@pytest.mark.parametrize("call", [lambda: text_errors("...", "a"), lambda: viseme_errors(" ", "p")])
def test_an_empty_transcript_is_refused(call):
    with pytest.raises(ValueError, match="transcript"):
        call()


def test_text_is_normalised():
    assert normalised(" I’m well-known:  5 times? ") == "I'M WELL KNOWN 5 TIMES"


def test_the_best_path_prefers_likely_transitions():
    # The second frame slightly prefers class 1, but a change costs more.
    scores = np.log([[0.9, 0.1], [0.45, 0.55], [0.9, 0.1]])
    stay = np.log([[0.9, 0.1], [0.1, 0.9]])
    assert best_path(scores, stay, np.log([0.5, 0.5])).tolist() == [0, 0, 0]
    free = np.log([[0.5, 0.5], [0.5, 0.5]])
    assert best_path(scores, free, np.log([0.5, 0.5])).tolist() == [0, 1, 0]
    assert best_path(scores[:0], free, np.log([0.5, 0.5])).tolist() == []
