"""Loss curves: phases of the published recipe are shaded, the error of sampled lips has its own axis."""

from __future__ import annotations

import pandas as pd

from occlufacediff.reporting.plots import loss_curves

HISTORY = pd.DataFrame({"step": [10, 20, 30], "loss": [3.0, 2.0, 1.0], "validation_loss": [4.0, 3.0, 2.0]})


def test_phases_that_train_the_audio_encoder_are_shaded() -> None:
    plain = loss_curves(HISTORY)
    assert plain is not None
    assert "audio encoder trained" not in plain
    never = loss_curves(HISTORY.assign(audio_phase=0.0))
    assert never == plain
    some = loss_curves(HISTORY.assign(audio_phase=[0.0, 0.5, 1.0]))
    assert some is not None
    # One entry of the legend for both spans, the mixed one paler.
    assert some.count("audio encoder trained") == 1
    assert "opacity: 0.08" in some
    assert "opacity: 0.16" in some


def test_the_error_of_sampled_lips_has_its_own_axis() -> None:
    plain, sampled = loss_curves(HISTORY), loss_curves(HISTORY.assign(validation_sampled_lips=[2.0, None, 1.0]))
    assert plain is not None
    assert sampled is not None
    assert "sampled lips, mm" not in plain
    assert "sampled lips, mm" in sampled
