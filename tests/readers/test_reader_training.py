"""Training of readers: generated examples, errors of a fit, and a short training."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from occlufacediff.config.readers import ReaderSettings
from occlufacediff.config.synthetic import KNOWN_EMOTIONS, SyntheticSettings
from occlufacediff.errors import AssetError
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.digest import head_attributes
from occlufacediff.readers.examples import FIRST_SPEAKER, fitted_examples, generate_example
from occlufacediff.readers.fit_errors import FitErrors
from occlufacediff.readers.viseme_letters import LETTERS
from occlufacediff.synthetic.plan import all_clips, subject_clips
from occlufacediff.synthetic.speakers import make_speaker


@pytest.fixture(scope="module")
def head(small_open_head: Path) -> HeadAsset:
    return HeadAsset.load(small_open_head)


def test_an_example_has_letters_for_each_frame(head: HeadAsset):
    one, again, other = (generate_example(number, 3, head) for number in (1, 1, 2))
    assert one.motion.shape == (len(one.letters), head.n_exp + 3)
    assert KNOWN_EMOTIONS[one.emotion] == "happy"
    assert set(one.letters) <= set(range(len(LETTERS)))
    assert len(set(one.letters)) > 5
    np.testing.assert_array_equal(one.motion, again.motion)
    assert other.motion.shape != one.motion.shape or not np.allclose(other.motion, one.motion)


def test_speakers_of_examples_are_not_those_of_the_data_set():
    names = {clip.subject for clip in all_clips(SyntheticSettings(scale=20))}
    assert all(int(name[1:]) < FIRST_SPEAKER for name in names)
    assert make_speaker(f"M{FIRST_SPEAKER}", 1, spread=1.0) != make_speaker("M101", 1, spread=1.0)


def test_fitted_clips_are_paired_with_their_truth(head: HeadAsset, tmp_path: Path):
    settings = SyntheticSettings()
    plan = subject_clips("M104", settings)[0]
    path = tmp_path / "M104.h5"
    with h5py.File(path, "w") as file:
        file.attrs.update(head_attributes(head))
        file[f"{plan.clip}/exp"] = np.zeros((50, head.n_exp), np.float32)
        file[f"{plan.clip}/jaw"] = np.zeros((50, 3), np.float32)
    ((true, fitted),) = fitted_examples([path], settings, 1, head)
    assert len(true.motion) == len(fitted.motion) == len(true.letters) == 50
    assert not fitted.motion.any()
    assert true.motion.any()
    assert KNOWN_EMOTIONS[true.emotion] == plan.emotion
    (tmp_path / "M104.h5").write_bytes(b"damaged")
    with pytest.raises(AssetError, match="cannot be read"):
        fitted_examples([path], settings, 1, head)


def test_errors_of_a_fit_are_estimated():
    rng = np.random.default_rng(0)
    gain = np.array([[0.8, 0.1], [0.0, 0.5]])
    true = [rng.standard_normal((80, 2)) * 3 for _ in range(200)]
    fitted = []
    for part in true:
        noise = np.zeros((80, 2))
        for frame in range(1, 80):
            noise[frame] = 0.6 * noise[frame - 1] + 0.8 * rng.standard_normal(2) * 0.5
        fitted.append(part @ gain + [1.0, -2.0] + rng.standard_normal(2) * [2.0, 0.3] + noise)
    model = FitErrors.estimate(true, fitted)
    np.testing.assert_allclose(model.gain, gain, atol=0.03)
    np.testing.assert_allclose(model.offset, [1.0, -2.0], atol=0.4)
    np.testing.assert_allclose(np.sqrt(np.diag(model.clip @ model.clip.T)), [2.0, 0.3], rtol=0.25)
    np.testing.assert_allclose(np.sqrt(np.diag(model.frame @ model.frame.T)), 0.5, rtol=0.15)
    assert model.rho == pytest.approx(0.6, abs=0.06)
    made = model.apply(np.stack(true), np.random.default_rng(1))
    again = FitErrors.estimate(true, list(made))
    np.testing.assert_allclose(again.gain, model.gain, atol=0.05)
    exact = model.apply(np.stack(true), np.random.default_rng(1), strength=0.0)
    np.testing.assert_allclose(exact, np.stack(true) @ model.gain + model.offset)
    with pytest.raises(ValueError, match="two or more"):
        FitErrors.estimate(true[:1], fitted[:1])


@pytest.mark.slow
def test_a_short_training_writes_readers_and_a_card(small_open_head: Path, head: HeadAsset, tmp_path: Path):
    from occlufacediff.readers.reading import load_readers
    from occlufacediff.stages.reader_weights import make_readers

    synthetic = SyntheticSettings()
    files = {}
    for subject in ("M101", "W103"):
        files[subject] = tmp_path / f"{subject}.h5"
        with h5py.File(files[subject], "w") as file:
            file.attrs.update(head_attributes(head))
            for plan in subject_clips(subject, synthetic)[:3]:
                rng = np.random.default_rng(len(plan.text))
                file[f"{plan.clip}/exp"] = rng.uniform(0, 0.3, (60, head.n_exp)).astype(np.float32)
                file[f"{plan.clip}/jaw"] = rng.uniform(0, 0.1, (60, 3)).astype(np.float32)
    model, card = tmp_path / "model.safetensors", tmp_path / "MODEL_CARD.md"
    settings = ReaderSettings(clips=16, steps=30, width=16, frames=32, batch_size=8)
    make_readers(
        small_open_head, [files["M101"]], [files["W103"]], model, card, settings=settings, synthetic=synthetic, seed=1
    )
    reading = load_readers(model, head).read(np.zeros((20, head.n_exp + 3), np.float32))
    assert reading.letters.shape == (20,)
    assert reading.emotions.shape == (20, len(KNOWN_EMOTIONS))
    assert reading.emotion(np.zeros(20, dtype=bool)) is None
    text = card.read_text(encoding="utf-8")
    assert "3 clips of the synthetic data set's training subjects" in text
    assert "| neutral face |" in text
