"""Settings of trainings: devices, learning rates, and values out of range."""

from __future__ import annotations

import pytest
import torch

from occlufacediff.config.evaluation import EvaluationSettings
from occlufacediff.config.load import check_settings
from occlufacediff.config.training import DenoiserSettings, LoopSettings, MotionPriorSettings
from occlufacediff.device import pick_device
from occlufacediff.errors import ConfigError
from occlufacediff.training.optimisation import learning_rate


def test_bad_devices_are_named() -> None:
    with pytest.raises(ConfigError, match="got 'tpu'"):
        pick_device("tpu")
    if not torch.cuda.is_available():
        with pytest.raises(ConfigError, match="no usable GPU"):
            pick_device("cuda")


def test_rates_rise_and_fall() -> None:
    settings = LoopSettings(max_steps=100, warmup_steps=10, learning_rate=1.0)
    rates = [learning_rate(step, settings) for step in range(100)]
    assert rates[0] == pytest.approx(0.1, rel=0.01)
    assert max(rates) > 0.95
    assert rates[-1] < 0.06


def test_rates_rise_again_with_warm_restarts() -> None:
    """Torch's `CosineAnnealingWarmRestarts` gives the same rates: 3 epochs of 2.5 steps, down to a hundredth."""
    settings = LoopSettings(
        schedule="restarts", restart_epochs=3, lowest_rate=0.01, warmup_steps=0, learning_rate=1e-4, max_steps=40
    )
    weight = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=1e-4)
    reference = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=15, eta_min=1e-6)
    expected = []
    for _ in range(80):  # Two half steps each.
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        reference.step()
    found = [learning_rate(step, settings, 2.5) for step in range(40)]
    assert found == pytest.approx(expected[::2], rel=1e-6)
    assert found[15] == 1e-4


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: LoopSettings(max_steps=0), "max_steps"),
        (lambda: LoopSettings(ema_decay=1.0), "ema_decay"),
        (lambda: MotionPriorSettings(tempo=1.0), "tempo"),
        (lambda: DenoiserSettings(audio_dropout=2.0), "audio_dropout"),
        (lambda: EvaluationSettings(occlusions=()), "occlusions"),
        (lambda: EvaluationSettings(methods=("magic",)), "methods"),  # type: ignore[arg-type]
    ],
)
def test_settings_out_of_range_are_refused(make: object, field: str) -> None:
    with pytest.raises(ConfigError, match=rf"^{field}(\[0\])?: got"):
        check_settings(make())  # type: ignore[operator]
