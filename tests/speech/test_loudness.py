"""Loudness and timbre of speech, frame by frame."""

import numpy as np

from occlufacediff.speech.loudness import sound_columns


def test_loudness_and_timbre_do_not_depend_on_the_level() -> None:
    rng = np.random.default_rng(8)
    log_mel = rng.standard_normal((400, 80)).astype(np.float32)
    np.testing.assert_allclose(sound_columns(log_mel), sound_columns(log_mel + 1.5), atol=1e-5)
    assert sound_columns(log_mel).shape == (100, 3)
