"""Blinks of exported motion close the eyes; other movements of the lids stay."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_head import N_EXP, small_head
from test_export import run, write_motion

from occlufacediff.config.prediction import Smoothing
from occlufacediff.export.blinks import CLOSED, LIDS, closed_in_blinks
from occlufacediff.export.motion import PosedMotion
from occlufacediff.export.preparation import prepared
from occlufacediff.head.asset import HeadAsset

FPS, FRAMES = 25, 150


def lids_with(left: np.ndarray, right: np.ndarray, noise: float = 0.01) -> np.ndarray:
    """Weights (T, 2) of nearly open eyes with noise, plus the given movements."""
    rng = np.random.default_rng(3)
    return 0.08 + np.stack([left, right], axis=1) + noise * rng.standard_normal((FRAMES, 2))


def bump(frame: int, height: float, seconds: float) -> np.ndarray:
    """A movement (T,) to and fro; ``seconds`` is its width at half of the height."""
    return height * np.exp(-np.log(2) * ((np.arange(FRAMES) - frame) / (seconds * FPS / 2)) ** 2)


@pytest.mark.parametrize("frame", [1, 60, 148])
@pytest.mark.parametrize("height", [0.25, 0.5])
def test_a_blink_closes_the_eyes_at_its_time(frame: int, height: float) -> None:
    lids = lids_with(bump(frame, height, 0.15), bump(frame, 0.7 * height, 0.15))
    full, count = closed_in_blinks(lids, FPS)
    assert count == 1
    np.testing.assert_allclose(full[frame], CLOSED, atol=0.05)
    assert abs(int(full.mean(axis=1).argmax()) - frame) <= 1
    far = np.abs(np.arange(FRAMES) - frame) > 0.4 * FPS
    np.testing.assert_array_equal(full[far], lids[far])
    assert full.max() <= 1


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (bump(60, 0.5, 0.15), np.zeros(FRAMES)),  # a wink
        (bump(60, 0.4, 0.9), bump(60, 0.4, 0.9)),  # a glance down or a squint
        (bump(60, 0.08, 0.15), bump(60, 0.08, 0.15)),  # less than the least rise
        (np.zeros(FRAMES), np.zeros(FRAMES)),
    ],
    ids=["wink", "glance", "flutter", "open"],
)
def test_other_movements_stay(left: np.ndarray, right: np.ndarray) -> None:
    lids = lids_with(left, right)
    full, count = closed_in_blinks(lids, FPS)
    assert count == 0
    np.testing.assert_array_equal(full, lids)


def test_noise_is_no_blink() -> None:
    """Of a turned or blurred face the lids jitter by more than a blink behind glasses rises."""
    lids = lids_with(np.zeros(FRAMES), np.zeros(FRAMES), noise=0.08)
    assert closed_in_blinks(lids, FPS)[1] == 0


def head_with_lids() -> HeadAsset:
    """A small head whose first two coefficients are the lids' actions."""
    names = (*LIDS, *(f"mouth{name}" for name in ("Funnel", "Pucker", "Left", "Right")))[:N_EXP]
    return replace(small_head(), expression_names=names)


def test_exports_have_full_blinks_unless_they_are_measured(tmp_path: Path) -> None:
    exp = np.zeros((FRAMES, N_EXP), np.float32)
    exp[:, :2] = bump(60, 0.4, 0.15)[:, None]
    still = np.zeros((FRAMES, 3), np.float32)
    motion = write_motion(tmp_path, head_with_lids(), exp=exp, jaw=still, global_pose=still)
    highest = {}
    for blinks in ("full", "measured"):
        status, output = run(motion, "--to", "livelink", "--blinks", blinks)
        assert status == 0, output
        assert ("1 blink stretched to closed eyes" in output) == (blinks == "full")
        with motion.with_name("motion.livelink.csv").open(newline="") as file:
            highest[blinks] = max(float(row["EyeBlinkLeft"]) for row in csv.DictReader(file))
    assert highest == pytest.approx({"full": CLOSED, "measured": 0.4}, abs=0.01)


@pytest.mark.parametrize("smoothing", ["off", "light", "strong"])
def test_weak_blinks_are_closed_before_they_are_smoothed(smoothing: Smoothing) -> None:
    """Behind glasses a blink is a short weak bump; smoothed first, it would be below the least rise of a blink."""
    head = head_with_lids()
    exp = np.zeros((FRAMES, head.n_exp), np.float32)
    exp[:, :2] = lids_with(bump(60, 0.18, 0.1), bump(60, 0.144, 0.1), noise=0.02)
    still = np.zeros((FRAMES, 3), np.float32)
    motion = PosedMotion("talk", exp, still, still, np.zeros(head.n_shape, np.float32), FPS)
    out, notes = prepared(motion, head, blinks="full", smoothing=smoothing)
    assert "1 blink stretched to closed eyes" in notes
    assert out.exp[:, head.expression_names.index(LIDS[0])].max() > 0.85
