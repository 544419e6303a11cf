"""`predict_motion` combines samples, viseme rules, audio and head rotation. All samples are equal here."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from small_head import N_EXP, N_SHAPE, small_head

from occlufacediff.config.adaptation import AdaptationSettings
from occlufacediff.face_mesh import EYES_AND_BROWS, INNER_LIP_BOTTOM, INNER_LIP_TOP, LIPS
from occlufacediff.head.fit import FitResult
from occlufacediff.head.landmark_basis import LandmarkBasis
from occlufacediff.models.denoiser import Denoiser, DenoiserConfig
from occlufacediff.models.motion_prior import MotionPrior, MotionPriorConfig
from occlufacediff.prediction import hearing
from occlufacediff.prediction import motion as motion_step
from occlufacediff.prediction.adaptation import AdaptedMotion, mouth_is_hidden
from occlufacediff.prediction.motion import Sampling, predict_motion
from occlufacediff.prediction.networks import Networks
from occlufacediff.prediction.speech import Speech, recognise_speech
from occlufacediff.prediction.spread import opening_factors
from occlufacediff.speech.feature_columns import N_FEATURES
from occlufacediff.speech.phones import Phones
from occlufacediff.speech.prosody import articulation_strength, prosody
from occlufacediff.speech.viseme_rules import mean_viseme_motion, viseme_shares

FRAMES, VALUES = 100, N_EXP + 3
HIDDEN = slice(40, 75)
NAMES = ("browInnerUp", "eyeBlinkLeft", "mouthFunnel", "mouthPucker", "mouthLeft", "mouthRight")
assert len(NAMES) == N_EXP
BASIS = LandmarkBasis.of(replace(small_head(), expression_names=NAMES))
SETTINGS = AdaptationSettings(samples=1, max_offset=0)
#: All samples, in all coefficients.
SAMPLED = np.float32(0.2 + 0.1 * np.sin(np.arange(FRAMES)[:, None] / 5))


@pytest.fixture(scope="module")
def networks() -> Networks:
    """Untrained networks with phones as input that store the spread of motion."""
    prior = MotionPrior(MotionPriorConfig.compact(VALUES))
    prior.set_motion_statistics(torch.full((VALUES,), 0.05), torch.full((VALUES,), 0.1))
    return Networks(Denoiser(DenoiserConfig.open(prior.config.latent_dim)), prior, torch.device("cpu"))


@pytest.fixture(scope="module")
def speech() -> Speech:
    """Rounded and open vowels between closed lips, at changing loudness."""
    names = ("M", "UW", "B", "AA", "P") * 4
    edges = np.linspace(0, FRAMES / 25, len(names) + 1)
    rng = np.random.default_rng(0)
    log_mel = np.repeat(rng.normal(-3, 1, (FRAMES, 1)), 4, axis=0) + np.zeros((1, 80))
    return Speech(
        waveform=np.zeros(640 * FRAMES, np.float32),
        log_mel=log_mel.astype(np.float32),
        transcripts=(Phones(names, edges[:-1], edges[1:]),),
        features=np.repeat(np.arange(4 * FRAMES, dtype=np.float32)[:, None], N_FEATURES, axis=1),
    )


@pytest.fixture
def inferred(networks: Networks, speech: Speech, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Predicts a clip whose lips are occluded in the frames ``hidden``, with equal samples."""

    def alike(*arguments: Any, samples: int, **_: Any) -> torch.Tensor:
        run.audio = arguments[4].numpy()
        return torch.from_numpy(SAMPLED).expand(samples, FRAMES, VALUES)

    monkeypatch.setattr(motion_step, "sample_motion", alike)

    def run(
        settings: AdaptationSettings = SETTINGS,
        pose: np.ndarray | None = None,
        hidden: slice = HIDDEN,
        motion: np.ndarray | None = None,
        speech: Speech = speech,
        basis: LandmarkBasis = BASIS,
        networks: Networks = networks,
        eyes_too: bool = False,
        **options: Any,
    ) -> AdaptedMotion:
        turn = np.zeros((FRAMES, 3), np.float32) if pose is None else pose
        motion = np.tile(turn[:, 1:2], (1, VALUES)) if motion is None else motion
        points = np.zeros((FRAMES, 468, 2), np.float32)
        fit = FitResult(
            np.zeros(N_SHAPE, np.float32), motion[:, :-3], motion[:, -3:], options.pop("fit_pose", turn),
            np.zeros((FRAMES, 3), np.float32), points, 0.0, 0.0, 0.0,
        )  # fmt: skip
        visible = np.ones((FRAMES, 468), np.float32)
        visible[hidden, list(LIPS)] = 0
        if eyes_too:
            visible[hidden, list(EYES_AND_BROWS)] = 0
        given = {"use_audio": True, "clip_id": "clip", "seed": 0, "sampling": Sampling()} | options
        return predict_motion(networks, basis, points, visible, fit, speech, adaptation=settings, **given)

    return run


def ruled(speech: Speech) -> np.ndarray:
    return mean_viseme_motion(speech.transcripts, FRAMES, NAMES, strength=articulation_strength(speech.log_mel))


def test_the_spread_follows_the_disagreement_of_rules_and_samples(inferred: Any, speech: Speech) -> None:
    rules = ruled(speech)[HIDDEN]
    moved = np.ptp(ruled(speech), axis=0) > 0
    assert moved.tolist() == [False, False, True, True, False, False, True, False, False]
    uneven, even = (inferred(replace(SETTINGS, disagreement_share=share)).spread[HIDDEN] for share in (0.8, 0.0))
    apart = (rules - SAMPLED[HIDDEN]) ** 2
    expected = np.where(moved, 0.2 + 0.8 * apart / apart.mean(axis=0), 1.0)
    np.testing.assert_allclose((uneven / even) ** 2, expected, rtol=1e-3)
    assert np.ptp(expected, axis=0)[moved].min() > 0.5


def test_networks_are_not_sampled_where_nothing_is_hidden(inferred: Any) -> None:
    motion = np.random.default_rng(3).normal(0, 0.1, (FRAMES, VALUES)).astype(np.float32)
    found = inferred(motion=motion, hidden=slice(0, 0))
    np.testing.assert_array_equal(found.motion, motion)
    np.testing.assert_allclose(found.spread, SETTINGS.noise_sd * 0.1, rtol=1e-6)
    assert not hasattr(inferred, "audio"), "the networks were sampled"
    one_frame = inferred(motion=motion, hidden=slice(40, 41))
    assert hasattr(inferred, "audio")
    np.testing.assert_array_equal(np.delete(one_frame.motion, 40, axis=0), np.delete(motion, 40, axis=0))


def test_the_mouth_is_hidden_if_one_frame_does_not_show_it() -> None:
    visible = np.ones((FRAMES, 468), np.float32)
    visible[:, list(EYES_AND_BROWS)] = 0
    assert not mouth_is_hidden(visible, NAMES)
    visible[7, list(LIPS)] = 0
    assert mouth_is_hidden(visible, NAMES)


def test_without_audio_the_rules_have_no_effect(inferred: Any) -> None:
    uneven, even = (inferred(replace(SETTINGS, disagreement_share=one), use_audio=False) for one in (0.8, 0.0))
    np.testing.assert_allclose(uneven.spread, even.spread, rtol=1e-6)
    assert uneven.offset == 0


def test_a_mouth_occluded_in_all_frames_follows_samples_and_rules(inferred: Any, speech: Speech) -> None:
    found, rules = inferred(replace(SETTINGS, rules_share=0.3), hidden=slice(None)), ruled(speech)
    share = np.where(np.ptp(rules, axis=0) > 0, 0.3, 0.0)
    both = share * rules + (1 - share) * SAMPLED
    # What no rule moves does not follow the network either, and lips less than the jaw's opening.
    follow = np.where(share > 0, SETTINGS.lips_share, 0.0)
    follow[-3] = 1.0
    expected = 0.05 + SETTINGS.gain * follow * (both - both.mean(axis=0))
    np.testing.assert_allclose(found.motion[:, 2:], expected[:, 2:], atol=1e-5)


def test_without_audio_gain_and_confidence_are_smaller(inferred: Any) -> None:
    silent = inferred(hidden=slice(None), use_audio=False)
    expected = 0.05 + SETTINGS.without_audio_gain * (SAMPLED - SAMPLED.mean())
    np.testing.assert_allclose(silent.motion[:, 2:], np.tile(expected, (1, VALUES - 2)), atol=1e-5)
    surer = inferred(replace(SETTINGS, without_audio_sd=0.0), hidden=slice(None), use_audio=False)
    assert (silent.spread[:, 2:] > surer.spread[:, 2:]).all()


def test_loudness_and_timbre_increase_the_spread_without_visible_frames(inferred: Any) -> None:
    with_them, without = (
        inferred(replace(SETTINGS, audio_sd=much, disagreement_share=0.0), hidden=slice(None)) for much in (0.5, 0.0)
    )
    assert (with_them.spread[:, 2:] > without.spread[:, 2:] + 1e-5).mean() > 0.9


def test_head_rotation_explains_the_occluded_mouth(inferred: Any) -> None:
    still = replace(SETTINGS, gain=0.0, gain_sd=0.0)
    pose = np.zeros((FRAMES, 3), np.float32)
    pose[:, 1] = np.radians(12) * np.sin(np.arange(FRAMES) / 7)
    given, missing = (inferred(still, pose, fit_pose=one) for one in (pose, np.zeros_like(pose)))
    missed = [np.abs(one.motion[HIDDEN, 2:] - pose[HIDDEN, 1:2]).mean() for one in (given, missing)]
    assert missed[0] < 0.5 * missed[1]


@pytest.mark.parametrize("late", [-2, 0, 4])
def test_the_audio_offset_is_removed(inferred: Any, speech: Speech, late: int) -> None:
    """For rules and networks; the samples of the networks give no estimate of it."""
    rules = ruled(speech)
    seen = rules[np.clip(np.arange(FRAMES) + late, 0, FRAMES - 1)].astype(np.float32)
    settings = replace(SETTINGS, max_offset=8, rules_share=1.0)
    found = inferred(settings, motion=seen)
    assert found.offset == late
    rows = np.arange(4 * FRAMES) + 4 * late
    inside = (rows >= 0) & (rows < 4 * FRAMES)
    np.testing.assert_array_equal(inferred.audio[inside, 0], rows[inside])
    assert (inferred.audio[~inside, :20] == 0).all()  # of the spectrum the least value, of phones silence
    assert (inferred.audio[~inside, -1] == 1).all()
    jaw = np.corrcoef(found.motion[HIDDEN, -3], seen[HIDDEN, -3])[0, 1]
    assert jaw > 0.98
    if late:
        unmoved = inferred(replace(settings, max_offset=0), motion=seen)
        assert np.corrcoef(unmoved.motion[HIDDEN, -3], seen[HIDDEN, -3])[0, 1] < jaw - 0.04


def test_two_transcripts_have_equal_weights(inferred: Any, speech: Speech) -> None:
    silence = Phones(("SIL",), np.zeros(1), np.full(1, FRAMES / 25))
    twice = replace(speech, transcripts=(*speech.transcripts, silence))
    settings = replace(SETTINGS, rules_share=1.0)
    found, one = (inferred(settings, hidden=slice(None), speech=each) for each in (twice, speech))
    rest = ruled(replace(speech, transcripts=(silence,)))[:, -3]
    moved = 0.5 * (ruled(speech)[:, -3] + rest)
    np.testing.assert_allclose(found.motion[:, -3], 0.05 + SETTINGS.gain * (moved - moved.mean()), atol=1e-5)
    assert np.abs(found.motion - one.motion).max() > 0.01


@pytest.mark.parametrize("late", [0, 4])
@pytest.mark.parametrize("term", ["viseme_sd", "audio_sd"])
def test_audio_explains_coefficients_without_a_rule(inferred: Any, speech: Speech, term: str, late: int) -> None:
    """In the visible frames the mouth moves sideways with a viseme or with loudness, with the same offset."""
    columns = viseme_shares(speech.transcripts, FRAMES) if term == "viseme_sd" else prosody(speech.log_mel)
    given = columns[:, columns.std(axis=0).argmax()]
    at = np.clip(np.arange(FRAMES) + late, 0, FRAMES - 1)
    seen = ruled(speech)[at].astype(np.float32)
    aside = NAMES.index("mouthLeft")
    seen[:, aside] = 0.3 * given[at]
    bare = replace(SETTINGS, max_offset=8, audio_sd=0.0, viseme_sd=0.0, articulation_sd=0.0)
    found = [inferred(replace(bare, **{term: much}), motion=seen) for much in (3.0, 0.0)]
    assert [one.offset for one in found] == [late, late]
    missed = [np.abs(one.motion - seen)[HIDDEN, aside].mean() for one in found]
    assert missed[0] < 0.4 * missed[1]


def test_networks_without_phones_ignore_given_phones(inferred: Any, speech: Speech, networks: Networks) -> None:
    deaf = replace(networks, denoiser=Denoiser(DenoiserConfig.compact(networks.prior.config.latent_dim)))
    rules = ruled(speech)
    seen = rules[np.clip(np.arange(FRAMES) + 4, 0, FRAMES - 1)].astype(np.float32)
    settings = replace(SETTINGS, max_offset=8)
    one, other = (
        inferred(settings, motion=seen, networks=deaf, speech=replace(speech, transcripts=each))
        for each in (speech.transcripts, ())
    )
    assert one.offset == other.offset == 0
    np.testing.assert_array_equal(one.motion, other.motion)
    np.testing.assert_array_equal(inferred.audio, speech.log_mel)


def test_without_audio_its_columns_have_no_effect(inferred: Any, speech: Speech) -> None:
    settings = replace(SETTINGS, articulation_sd=0.5, viseme_sd=0.5, audio_sd=0.5)
    bare = replace(settings, articulation_sd=0.0, viseme_sd=0.0, audio_sd=0.0)
    one, other = (inferred(each, motion=ruled(speech).astype(np.float32), use_audio=False) for each in (settings, bare))
    np.testing.assert_array_equal(one.motion, other.motion)


def test_silence_equals_no_audio(inferred: Any, speech: Speech) -> None:
    silence = replace(speech, transcripts=(Phones(("SIL",), np.zeros(1), np.full(1, FRAMES / 25)),))
    settings = replace(SETTINGS, audio_sd=0.0, viseme_sd=0.0, articulation_sd=0.0)
    quiet = inferred(settings, hidden=slice(None), speech=silence)
    unheard = inferred(settings, hidden=slice(None), use_audio=False)
    np.testing.assert_allclose(quiet.motion, unheard.motion, atol=1e-6)
    np.testing.assert_allclose(quiet.spread, unheard.spread, rtol=1e-6)


def test_brows_and_lids_have_the_gain_without_audio(inferred: Any) -> None:
    """No rule moves them, so audio does not explain them."""
    with_sound, without = (inferred(hidden=slice(None), eyes_too=True, use_audio=one) for one in (True, False))
    np.testing.assert_allclose(with_sound.motion[:, :2], without.motion[:, :2], atol=1e-6)
    assert with_sound.motion[:, 0].std() > 0.01


def test_a_head_without_named_actions_follows_the_network(inferred: Any, speech: Speech) -> None:
    numbered = replace(BASIS, expression_names=tuple(f"exp_{number}" for number in range(N_EXP)))
    found = inferred(hidden=slice(None), basis=numbered)
    expected = 0.05 + SETTINGS.gain * (SAMPLED - SAMPLED.mean())
    np.testing.assert_allclose(found.motion[:, :N_EXP], np.tile(expected, (1, N_EXP)), atol=1e-5)


def test_the_offset_depends_on_the_mouth_only(inferred: Any, speech: Speech) -> None:
    rules = ruled(speech)
    seen = rules[np.clip(np.arange(FRAMES) + 3, 0, FRAMES - 1)].astype(np.float32)
    # Brows that go with another offset.
    seen[:, 0] = 20 * rules[np.clip(np.arange(FRAMES) - 4, 0, FRAMES - 1), -3]
    settings = replace(SETTINGS, max_offset=8)
    assert [inferred(settings, motion=seen, eyes_too=one).offset for one in (False, True)] == [3, 3]


@pytest.mark.parametrize("what", ["log_mel", "transcripts", "features"])
def test_incomplete_speech_is_rejected(inferred: Any, speech: Speech, what: str) -> None:
    wrong = {"log_mel": speech.log_mel[:-4], "transcripts": (), "features": None}[what]
    with pytest.raises(ValueError, match={"transcripts": "recognitions"}.get(what, what) + ": got"):
        inferred(speech=replace(speech, **{what: wrong}))


def test_words_are_recognised_where_they_are_used(
    networks: Networks, speech: Speech, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = Phones(("AA",), np.zeros(1), np.full(1, FRAMES / 25))
    monkeypatch.setattr(hearing, "recognise_phones", lambda waveform: speech.phones)
    monkeypatch.setattr(hearing, "recognise_words", lambda waveform: words)
    given: list[Phones] = []

    def features(waveform: np.ndarray, mel: np.ndarray, phones: Phones) -> np.ndarray | None:
        given.append(phones)
        return speech.features

    monkeypatch.setattr(hearing, "speech_features", features)
    prior = MotionPrior(MotionPriorConfig.compact(VALUES))  # knows no spread
    deaf = replace(networks, denoiser=Denoiser(DenoiserConfig.compact(prior.config.latent_dim)))

    def spoken(settings: AdaptationSettings, by: Networks = networks, **more: Any) -> tuple[Phones, ...]:
        return recognise_speech(speech.waveform, speech.log_mel, by, settings, **more).transcripts

    assert spoken(SETTINGS) == (speech.phones, words)
    assert spoken(replace(SETTINGS, words=False)) == (speech.phones,)
    assert spoken(replace(SETTINGS, enabled=False)) == (speech.phones,)
    assert spoken(SETTINGS, replace(networks, prior=prior)) == (speech.phones,)
    assert spoken(SETTINGS, deaf) == ()
    assert spoken(SETTINGS, deaf, phones=words) == (words,)
    assert given == [speech.phones] * 4  # words are not a condition of the networks, as in their training


def test_a_habit_of_the_speaker_is_learned_from_visible_frames(inferred: Any, speech: Speech) -> None:
    """No rule moves the mouth sideways; the visible frames show that it moves with the jaw."""
    seen = np.zeros((FRAMES, VALUES), np.float32)
    seen[:, NAMES.index("mouthLeft")] = ruled(speech)[:, -3]
    seen[:, -3] = ruled(speech)[:, -3]
    still = replace(SETTINGS, rules_share=1.0, audio_sd=0.0, viseme_sd=0.0)
    given, missing = (inferred(replace(still, articulation_sd=much), motion=seen) for much in (0.5, 0.0))
    missed = [np.abs(one.motion - seen)[HIDDEN, NAMES.index("mouthLeft")].mean() for one in (given, missing)]
    assert missed[0] < 0.5 * missed[1]


def test_without_adaptation_the_first_sample_is_returned(inferred: Any) -> None:
    found = inferred(replace(SETTINGS, enabled=False))
    assert not found.adapted
    np.testing.assert_array_equal(found.motion, np.tile(SAMPLED, (1, VALUES)))
    assert np.isnan(found.spread).all()
    assert inferred().adapted


def test_the_spread_of_an_occluded_mouth_grows_with_its_opening(inferred: Any) -> None:
    # Lips that are close, and part with the rounded vowels.
    top, bottom = BASIS.place[[INNER_LIP_TOP, INNER_LIP_BOTTOM]]
    base, exp = BASIS.points.base.copy(), BASIS.points.exp.copy()
    base[top] = base[bottom] + np.array([0.0, 0.002, 0.0])
    exp[top, 1, NAMES.index("mouthFunnel")] += 0.5
    basis = replace(BASIS, points=replace(BASIS.points, base=base, exp=exp))
    grown, even = (inferred(replace(SETTINGS, opening_power=power), basis=basis) for power in (0.5, 0.0))
    np.testing.assert_array_equal(grown.motion, even.motion)
    factors = opening_factors(basis, np.zeros(N_SHAPE), even.motion, 0.5)
    hidden = np.zeros(FRAMES, bool)
    hidden[HIDDEN] = True
    brows = np.array([name.startswith(("brow", "eye")) for name in NAMES] + [False] * 3)
    expected = np.where(hidden[:, None] & ~brows, factors[:, None], 1.0)
    assert np.ptp(factors[HIDDEN]) > 0.2
    np.testing.assert_allclose(grown.spread / even.spread, expected, rtol=1e-5)
