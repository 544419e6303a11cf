"""Speech and articulation: deterministic, all phonemes have visemes, lips close with p, b and m."""

from __future__ import annotations

import numpy as np
import pytest

from occlufacediff.config.synthetic import SyntheticSettings
from occlufacediff.errors import AssetError
from occlufacediff.speech.visemes import VISEMES, visemes_of
from occlufacediff.synthetic import sentences
from occlufacediff.synthetic.clip import EXPRESSION_NAMES, SyntheticClip, generate_clip
from occlufacediff.synthetic.espeak import speak
from occlufacediff.synthetic.plan import all_clips, subject_clips, subject_names
from occlufacediff.synthetic.speakers import ACCENTS, FEMALE, MALE, make_speaker

SETTINGS = SyntheticSettings()
VOICE = {"words_per_minute": 160, "pitch": 50, "pitch_range": 50}


@pytest.fixture(scope="module")
def clips() -> list[SyntheticClip]:
    """Two clips of every subject."""
    return [
        generate_clip(clip, SETTINGS, 0)
        for name in subject_names(SETTINGS)
        for clip in subject_clips(name, SETTINGS)[:2]
    ]


def test_an_utterance_does_not_depend_on_earlier_ones() -> None:
    first = speak("Five boxes of fish.", "en-us+f2", seed=7, **VOICE)
    speak("Something else entirely, utterance by another.", "en-gb-x-rp+m3", seed=1, **VOICE)
    again = speak("Five boxes of fish.", "en-us+f2", seed=7, **VOICE)
    np.testing.assert_array_equal(first.samples, again.samples)
    assert first.phonemes == again.phonemes
    np.testing.assert_array_equal(first.starts, again.starts)
    other = speak("Five boxes of fish.", "en-us+f2", seed=8, **VOICE)
    assert not np.array_equal(first.samples[: len(other.samples)], other.samples[: len(first.samples)])


def test_phoneme_times_increase_and_lie_in_the_audio() -> None:
    utterance = speak("My mother bought five peaches.", "en-gb-x-rp+f3", seed=1, **VOICE)
    assert np.all(np.diff(utterance.starts) >= 0)
    assert utterance.starts[0] >= 0 and utterance.starts[-1] <= len(utterance.samples) / utterance.rate
    assert "m" in utterance.phonemes and "f" in utterance.phonemes


def test_an_unknown_voice_is_rejected() -> None:
    with pytest.raises(AssetError, match="en-xx"):
        speak("Hello.", "en-xx", seed=1, **VOICE)


@pytest.mark.parametrize("accent", ACCENTS)
def test_every_phoneme_of_every_accent_has_a_viseme(accent: str) -> None:
    texts = [*sentences.TEST, *sentences.VALIDATION, *sentences.TRAINING]
    texts += [sentences.composed_sentence(number * 997) for number in range(40)]
    seen = set()
    for variant in (MALE[0], FEMALE[0]):
        utterance = speak(" ".join(texts), f"{accent}+{variant}", seed=1, **VOICE)
        seen |= {viseme for phoneme in set(utterance.phonemes) for viseme in visemes_of(phoneme)}
    assert len(seen) >= len(VISEMES) - 3


def test_an_unknown_phoneme_is_rejected() -> None:
    with pytest.raises(ValueError, match="xyz"):
        visemes_of("xyz")


def test_training_sentences_cover_all_visemes_several_times() -> None:
    utterance = speak(" ".join(sentences.TRAINING), "en-us", seed=1, **VOICE)
    counts = dict.fromkeys(VISEMES, 0)
    for phoneme in utterance.phonemes:
        for viseme in visemes_of(phoneme):
            counts[viseme] += 1
    assert min(counts.values()) >= 4, counts


def test_clips_depend_on_seed_and_plan_only(clips: list[SyntheticClip]) -> None:
    plan_clip = subject_clips("W101", SETTINGS)[1]
    once = next(clip for clip in clips if clip.clip_id == plan_clip.clip_id)
    again = generate_clip(plan_clip, SETTINGS, 0)
    for name in ("exp", "jaw", "global_pose", "waveform"):
        np.testing.assert_array_equal(getattr(once, name), getattr(again, name))
    assert not np.array_equal(generate_clip(plan_clip, SETTINGS, 1).jaw[:60], once.jaw[:60])


def test_clips_have_the_documented_shapes(clips: list[SyntheticClip]) -> None:
    for clip in clips:
        frames = len(clip.exp)
        assert clip.exp.shape == (frames, len(EXPRESSION_NAMES)) and clip.exp.dtype == np.float32
        assert clip.exp.min() >= 0 and clip.exp.max() <= 1
        assert clip.jaw.shape == clip.global_pose.shape == (frames, 3)
        assert 2.5 <= frames / clip.fps <= 4.0
        assert len(clip.waveform) == frames * clip.sample_rate // clip.fps
        assert np.abs(clip.waveform).max() > 0.1
        assert np.isfinite(clip.waveform).all()


def test_another_frame_rate_gives_the_same_motion() -> None:
    plan_clip = all_clips(SETTINGS)[3]
    fast, slow = (
        generate_clip(plan_clip, SETTINGS, 0),
        generate_clip(plan_clip, SETTINGS, 0, fps=25, sample_rate=16_000),
    )
    np.testing.assert_allclose(fast.jaw[::6][:10], slow.jaw[::5][:10], atol=1e-6)
    np.testing.assert_allclose(fast.exp[::6][:10], slow.exp[::5][:10], atol=1e-6)
    assert len(slow.waveform) // 640 in (len(slow.exp), len(slow.exp) + 1)


def _lip_gap(clip: SyntheticClip) -> np.ndarray:
    """A rough lip opening (T,): jaw not made good by closing, and lips drawn apart."""
    value = {name: clip.exp[:, number] for number, name in enumerate(clip.expression_names)}
    parted = 0.05 * (value["mouthUpperUpLeft"] + value["mouthLowerDownLeft"])
    return np.maximum(clip.jaw[:, 0] - 0.408 * value["mouthClose"], 0) + parted


def test_lips_close_with_p_b_m_and_open_with_vowels(clips: list[SyntheticClip]) -> None:
    closed, opened = [], []
    for clip in clips:
        gap = _lip_gap(clip)
        ends = np.append(clip.phoneme_starts[1:], clip.phoneme_starts[-1] + 0.05)
        for phoneme, start, end in zip(clip.phonemes, clip.phoneme_starts, ends, strict=True):
            frame = round(0.5 * (start + end) * clip.fps)
            if frame < len(gap):
                if phoneme in ("p", "b", "m"):
                    closed.append(gap[frame])
                elif phoneme.lstrip("',") in ("A:", "0", "a", "aI", "E"):
                    opened.append(gap[frame])
    assert len(closed) > 30 and len(opened) > 20
    assert np.mean(closed) < 0.2 * np.mean(opened)


def test_the_jaw_rests_before_and_after_the_utterance(clips: list[SyntheticClip]) -> None:
    for clip in clips:
        assert clip.jaw[0, 0] < 0.02 and clip.jaw[-1, 0] < 0.02


def test_the_upper_face_does_not_predict_the_mouth() -> None:
    """The correlation of upper-face actions with the jaw, pooled over clips, is small."""
    upper, jaw = [], []
    names = ("browInnerUp", "browDownLeft", "cheekSquintLeft", "noseSneerLeft", "eyeSquintLeft", "eyeBlinkLeft")
    columns = [EXPRESSION_NAMES.index(name) for name in names]
    for clip in [generate_clip(one, SETTINGS, 0) for one in all_clips(SETTINGS)[::3]]:
        upper.append(clip.exp[:, columns] - clip.exp[:, columns].mean(axis=0))
        jaw.append(clip.jaw[:, 0] - clip.jaw[:, 0].mean())
    moved = np.concatenate(upper).std(axis=0)
    table = np.corrcoef(np.column_stack([np.concatenate(upper), np.concatenate(jaw)]).T)
    assert np.abs(table[-1, :-1]).max() < 0.12
    assert moved.min() > 0.02


def test_audio_level_correlates_with_the_jaw() -> None:
    values = []
    for clip in [generate_clip(one, SETTINGS, 0) for one in all_clips(SETTINGS)[::9]]:
        per_frame = clip.waveform[: len(clip.jaw) * 1600].reshape(len(clip.jaw), 1600)
        values.append(np.corrcoef(np.log(per_frame.std(axis=1) + 1e-3), clip.jaw[:, 0])[0, 1])
    assert np.mean(values) > 0.5


def test_speakers_differ_and_cover_both_sexes_and_all_ages() -> None:
    known = [make_speaker(name, 0, spread=1.0) for name in subject_names(SETTINGS)]
    assert {one.sex for one in known} == {"female", "male"}
    assert {one.age for one in known} == {"young", "adult", "old"}
    assert len({one.voice for one in known}) == len(known)
    assert len({one.style for one in known}) == len(known)
    alike = {make_speaker(name, 0, spread=0.0).style for name in subject_names(SETTINGS)}
    assert len(alike) == 1
