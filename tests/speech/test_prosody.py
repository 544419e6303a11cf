"""Loudness and timbre of speech for each video frame."""

import numpy as np

from occlufacediff.speech.prosody import prosody


def test_loudness_and_timbre_do_not_depend_on_the_level() -> None:
    rng = np.random.default_rng(8)
    log_mel = rng.standard_normal((400, 80)).astype(np.float32)
    np.testing.assert_allclose(prosody(log_mel), prosody(log_mel + 1.5), atol=1e-5)
    assert prosody(log_mel).shape == (100, 3)
