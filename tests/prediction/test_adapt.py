"""Adaptation: motion and spread of occluded frames from the visible frames of the clip."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.ndimage import gaussian_filter1d

from occlufacediff.config.adaptation import AdaptationSettings
from occlufacediff.config.load import check_settings
from occlufacediff.errors import ConfigError
from occlufacediff.face_mesh import EYES_AND_BROWS, LIPS
from occlufacediff.prediction.adaptation import adapt, visible_coefficients

FRAMES, VALUES = 160, 3
PLAIN = AdaptationSettings()
UNIT = np.ones(VALUES)


def smooth(rng: np.random.Generator, shape: tuple[int, ...], seconds: float = 0.08) -> np.ndarray:
    """Noise of about unit spread that changes within ``seconds``."""
    kernel = np.exp(-0.5 * (np.arange(-12, 13) / 25 / seconds) ** 2)
    noise = rng.standard_normal((shape[0] + 24, *shape[1:]))
    moved = np.apply_along_axis(lambda values: np.convolve(values, kernel, "valid"), 0, noise)
    return moved / moved.std(axis=0)


def known_outside(hidden: slice) -> np.ndarray:
    mask = np.ones((FRAMES, VALUES), bool)
    mask[hidden] = False
    return mask


def turned(pose, settings):
    """Columns of head rotation, times the deviation of their weights."""
    return settings.head_turn_sd * gaussian_filter1d((pose - pose.mean(axis=0)) / np.radians(10), 2.0, axis=0)


def adapted(guide, seen, mask, audio=None, settings=PLAIN, **more):
    mean = np.zeros(guide.shape[1])
    return adapt(guide, seen, mask, audio, mean=mean, spread=np.ones(guide.shape[1]), settings=settings, **more)


def test_visible_frames_keep_the_motion_of_the_fit() -> None:
    rng = np.random.default_rng(0)
    seen, mask = smooth(rng, (FRAMES, VALUES)), known_outside(slice(40, 120))
    found = adapted(smooth(rng, (FRAMES, VALUES)), seen, mask)
    np.testing.assert_array_equal(found.motion[mask], seen.astype(np.float32)[mask])
    assert found.spread[mask].max() < found.spread[~mask].min()


def test_occluded_frames_follow_visible_ones_without_a_jump() -> None:
    seen = np.full((FRAMES, VALUES), 2.0)
    seen[40:120] = 99.0  # what stands in hidden frames counts for nothing
    found = adapted(np.zeros((FRAMES, VALUES)), seen, known_outside(slice(40, 120)))
    assert np.abs(np.diff(found.motion, axis=0)).max() < 0.3
    assert found.spread[41].max() < found.spread[80].max()


def test_gain_and_rest_come_from_the_visible_frames() -> None:
    rng = np.random.default_rng(1)
    guide = smooth(rng, (FRAMES, VALUES))
    seen, mask = 1.4 * guide + 0.7, known_outside(slice(60, 100))
    found = adapted(guide, seen, mask)
    usual = adapted(guide, seen, np.zeros_like(mask))
    assert np.abs(found.motion - seen)[~mask].mean() < 0.4 * np.abs(usual.motion - seen)[~mask].mean()


def test_samples_that_disagree_with_visible_frames_get_a_smaller_gain() -> None:
    rng = np.random.default_rng(2)
    guide, other, mask = smooth(rng, (FRAMES, VALUES)), smooth(rng, (FRAMES, VALUES)), known_outside(slice(60, 100))
    right = adapted(guide, guide, mask).motion[~mask].std()
    wrong = adapted(guide, -other, mask).motion[~mask].std()
    assert wrong < 0.75 * right


def test_without_visible_frames_mean_and_expected_gain_apply() -> None:
    rng = np.random.default_rng(3)
    guide, seen = smooth(rng, (FRAMES, VALUES)), np.full((FRAMES, VALUES), np.pi)
    found = adapted(guide, seen, np.zeros((FRAMES, VALUES), bool))
    np.testing.assert_allclose(found.motion, PLAIN.gain * (guide - guide.mean(axis=0)), atol=1e-5)


@pytest.mark.parametrize("terms", [(), ("pose",), ("audio",), ("pose", "audio")])
def test_intervals_cover_draws_from_the_process(terms: tuple[str, ...]) -> None:
    """The 50 % and 90 % intervals contain about that share of motions drawn from the process."""
    rng = np.random.default_rng(6)
    s, frames = replace(PLAIN, gain=0.6, rest_sd=1.0, fast_sd=0.7), 90
    mask = np.ones((frames, 1), bool)
    mask[25:65] = False
    apart = np.abs(np.subtract.outer(np.arange(frames), np.arange(frames))) / 25
    near = np.sqrt(3) * apart / s.fast_s
    kernel = s.rest_sd**2 + s.slow_sd**2 * np.exp(-apart / s.slow_s) + s.fast_sd**2 * (1 + near) * np.exp(-near)
    root = np.linalg.cholesky(kernel + 1e-9 * np.eye(frames))
    # The head turns, and the sound changes, mostly in the hidden frames: the visible ones tell little of their weights.
    strong = np.where(mask, 0.3, 6)
    inside = {0.674: [], 1.645: []}
    for _ in range(40):
        guide = smooth(rng, (frames, 1))
        gain = s.gain + s.gain_sd * rng.standard_normal()
        truth = root @ rng.standard_normal((frames, 1)) + gain * (guide - guide.mean())
        pose = smooth(rng, (frames, 3), seconds=0.3) * np.radians(3 * strong) if "pose" in terms else None
        audio = smooth(rng, (frames, 2)) * 0.15 * strong if "audio" in terms else None
        if pose is not None:
            truth += turned(pose, s) @ rng.standard_normal((3, 1))
        if audio is not None:
            truth += audio @ rng.standard_normal((2, 1))
        seen = truth + s.noise_sd * rng.standard_normal(truth.shape)
        found = adapted(guide, seen, mask, audio, s, pose=pose)
        for bound, hits in inside.items():
            hits.append((np.abs(found.motion - truth) < bound * found.spread)[~mask].mean())
    # the clip's own spread takes the place of 1, which blurs both a little
    assert np.mean(inside[0.674]) == pytest.approx(0.5, abs=0.12)
    assert np.mean(inside[1.645]) == pytest.approx(0.9, abs=0.06)


def test_without_visible_frames_the_spread_contains_all_terms() -> None:
    rng = np.random.default_rng(11)
    guide, audio, pose = smooth(rng, (FRAMES, VALUES)), smooth(rng, (FRAMES, 2)), 0.2 * smooth(rng, (FRAMES, 3), 0.3)
    s, never = PLAIN, np.zeros((FRAMES, VALUES), bool)
    found = adapted(guide, np.zeros((FRAMES, VALUES)), never, audio, pose=pose)
    variance = s.rest_sd**2 + s.slow_sd**2 + s.fast_sd**2 + s.gain_sd**2 * (guide - guide.mean(axis=0)) ** 2
    variance += ((audio**2).sum(axis=1) + (turned(pose, s) ** 2).sum(axis=1))[:, None]
    np.testing.assert_allclose(found.spread, np.sqrt(variance), rtol=1e-5)


def test_the_spread_follows_the_disagreement_of_samples() -> None:
    rng = np.random.default_rng(7)
    apart = np.ones((FRAMES, VALUES))
    apart[60:80] = 3.0
    sampled, shown = smooth(rng, (FRAMES, VALUES)), smooth(rng, (FRAMES, VALUES))
    found = adapted(sampled, shown, known_outside(slice(40, 120)), disagreement=apart)
    assert found.spread[60:80].mean() > 1.5 * found.spread[85:100].mean()


def test_coefficients_without_disagreement_keep_their_spread() -> None:
    """A single sample disagrees with the viseme rules only in coefficients that the rules move."""
    rng = np.random.default_rng(7)
    guide, seen, apart = smooth(rng, (FRAMES, VALUES)), smooth(rng, (FRAMES, VALUES)), np.zeros((FRAMES, VALUES))
    apart[:, 0] = rng.uniform(0.5, 2.0, FRAMES)
    mask = known_outside(slice(40, 120))
    uneven, even = (adapted(guide, seen, mask, disagreement=one).spread[40:120] ** 2 for one in (apart, None))
    np.testing.assert_allclose(uneven[:, 1:], even[:, 1:], rtol=1e-5)
    assert (uneven[:, 0] / even[:, 0]).mean() == pytest.approx(1, rel=1e-5)
    assert np.ptp(uneven[:, 0] / even[:, 0]) > 0.5


def test_groups_occluded_at_different_times_are_adapted_separately() -> None:
    rng = np.random.default_rng(8)
    truth, apart = smooth(rng, (FRAMES, 4)), rng.uniform(0.5, 2.0, (FRAMES, 4))
    guide, audio, mask = smooth(rng, (FRAMES, 4)), smooth(rng, (FRAMES, 1)), np.ones((FRAMES, 4), bool)
    mask[60:100, :2] = mask[80:120, 2:] = False
    both = adapted(guide, truth, mask, audio, disagreement=apart)
    for group in (slice(0, 2), slice(2, 4)):
        alone = adapted(guide[:, group], truth[:, group], mask[:, group], audio, disagreement=apart[:, group])
        np.testing.assert_allclose(both.motion[:, group], alone.motion, atol=1e-6)
        np.testing.assert_allclose(both.spread[:, group], alone.spread, atol=1e-6)


def test_head_rotation_explains_an_occluded_mouth() -> None:
    rng = np.random.default_rng(9)
    turn = smooth(rng, (FRAMES, 3), seconds=0.5) * np.radians(10)
    seen, mask = np.repeat(turn[:, 1:2] / np.radians(10), VALUES, axis=1), known_outside(slice(60, 100))
    still = np.zeros_like(seen)
    without, with_pose = (adapted(still, seen, mask, pose=pose) for pose in (None, turn))
    missed = [np.abs(one.motion - seen)[~mask].mean() for one in (without, with_pose)]
    assert missed[1] < 0.4 * missed[0]


def test_visible_coefficients_explain_correlated_ones() -> None:
    rng = np.random.default_rng(10)
    seen = np.repeat(smooth(rng, (FRAMES, 1), seconds=0.5), 2, axis=1)
    hidden = np.arange(FRAMES) // 40 == 2
    mouth = np.column_stack([~hidden, np.ones(FRAMES, bool)])  # the second coefficient is visible throughout
    both, never = (adapted(np.zeros_like(seen), seen, one) for one in (mouth, np.column_stack([~hidden, ~hidden])))
    assert np.abs(both.motion - seen)[hidden, 0].mean() < 0.75 * np.abs(never.motion - seen)[hidden, 0].mean()
    np.testing.assert_array_equal(both.motion[:, 1], seen[:, 1].astype(np.float32))


def test_constant_offsets_of_visible_columns_have_no_effect() -> None:
    """Only changes count, and values in frames where the column is occluded do not."""
    rng = np.random.default_rng(14)
    turn, seen = 0.2 * smooth(rng, (FRAMES, 3), 0.5), smooth(rng, (FRAMES, 2), seconds=0.5)
    mask = np.ones((FRAMES, 2), bool)
    mask[60:100, 0] = mask[20:28, 1] = False
    other = seen + np.array([0.0, 4.0])
    other[~mask] = 99.0
    one, same = (adapted(0 * seen, at, mask, pose=pose) for at, pose in ((seen, turn), (other, turn + 0.6)))
    np.testing.assert_allclose(same.motion[:, 0], one.motion[:, 0], atol=1e-5)
    np.testing.assert_allclose(same.spread[:, 0], one.spread[:, 0], atol=1e-5)


def test_jitter_of_visible_columns_has_no_effect() -> None:
    rng = np.random.default_rng(15)
    turn, seen = 0.2 * smooth(rng, (FRAMES, 3), 0.5), smooth(rng, (FRAMES, 2), seconds=0.5)
    mask, tremble = np.ones((FRAMES, 2), bool), (-1.0) ** np.arange(FRAMES)[:, None]
    mask[60:100, 0] = False
    found = [
        adapted(0 * seen, seen + tremble * [0.0, much], mask, settings=replace(PLAIN, visible_sd=1.0), pose=pose)
        for much, pose in ((0.0, turn), (0.3, turn), (0.0, turn + 0.1 * tremble))
    ]
    for other in found[1:]:
        np.testing.assert_allclose(other.motion[60:100, 0], found[0].motion[60:100, 0], atol=0.02)
        np.testing.assert_allclose(other.spread[60:100, 0], found[0].spread[60:100, 0], rtol=5e-3)


def test_a_long_clip_uses_the_nearest_known_frames_only() -> None:
    frames = 6000
    seen = np.zeros((frames, 1))
    seen[3000:] = 5.0
    mask = np.ones((frames, 1), bool)
    mask[100:200] = mask[5800:5900] = False
    found = adapted(np.zeros((frames, 1)), seen, mask)
    assert np.abs(found.motion[100:200]).max() < 0.5
    assert np.abs(found.motion[5800:5900] - 5.0).max() < 0.5


@settings(max_examples=25, deadline=None)
@given(mask=hnp.arrays(bool, (50, VALUES)), seed=st.integers(0, 2**16))
def test_any_mask_gives_finite_motion_and_spread(mask: np.ndarray, seed: int) -> None:
    rng = np.random.default_rng(seed)
    seen = np.where(mask, rng.standard_normal((50, VALUES)), 0.0)
    found = adapted(rng.standard_normal((50, VALUES)), seen, mask, rng.standard_normal((50, 3)))
    assert np.isfinite(found.motion).all() and np.isfinite(found.spread).all() and (found.spread >= 0).all()


def test_mouth_and_eyes_are_known_by_their_own_landmarks() -> None:
    names = ("browDownLeft", "eyeBlinkRight", "mouthClose")
    visible = np.ones((3, 468), np.float32)
    visible[1, list(LIPS)] = 0
    visible[2, list(EYES_AND_BROWS)] = 0
    expected = [[True] * 6, [True, True, False, False, False, False], [False, False, True, True, True, True]]
    np.testing.assert_array_equal(visible_coefficients(visible, names), expected)


def test_a_detector_of_68_points_makes_the_mouth_known() -> None:
    visible = np.zeros((4, 468), np.float32)
    visible[:, list(LIPS[::2])] = 1
    visible[3, list(LIPS)] = 0
    np.testing.assert_array_equal(visible_coefficients(visible, ("mouthClose",))[:, 0], [True, True, True, False])
    assert not visible_coefficients(np.zeros((4, 468), np.float32), ("mouthClose",)).any()


@pytest.mark.parametrize(("name", "value"), [("disagreement_share", 1.5), ("rules_share", -0.1), ("visible_sd", -1.0)])
def test_invalid_settings_are_named(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=f"^{name}: got {value}, needs"):
        check_settings(AdaptationSettings(**{name: value}))
