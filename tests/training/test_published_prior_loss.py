"""The loss of the published motion prior against its formula in numpy."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path += [str(Path(__file__).resolve().parent.parent)]

from small_head import small_head

from occlufacediff.head.model import HeadModel
from occlufacediff.head.skinning import vertices_numpy
from occlufacediff.training.published_prior import prior_terms


def test_the_loss_of_the_motion_prior_on_given_tensors() -> None:
    asset, rng = small_head(), np.random.default_rng(2)
    mean, logvar = (torch.from_numpy(rng.normal(size=(2, 4, 5)).astype(np.float32)) for _ in range(2))
    batch = {
        "exp": torch.from_numpy(rng.normal(size=(2, 32, 6)).astype(np.float32)),
        "jaw": torch.from_numpy(0.1 * rng.normal(size=(2, 32, 3)).astype(np.float32)),
        "shape": torch.from_numpy(rng.normal(size=(2, 4)).astype(np.float32)),
    }
    decoded = torch.from_numpy(0.1 * rng.normal(size=(2, 32, 9)).astype(np.float32))
    terms = prior_terms(
        HeadModel(asset),
        decoded=decoded,
        mean=mean,
        logvar=logvar,
        batch=batch,
        vertex_weight=1e6,
        kl_weight=0.001,
    )
    errors = []
    for row in range(2):
        straight = np.zeros((32, 3), np.float32)
        shape = batch["shape"][row].numpy()
        moved = vertices_numpy(asset, shape, decoded[row, :, :-3].numpy(), straight, decoded[row, :, -3:].numpy())
        still = vertices_numpy(asset, shape, batch["exp"][row].numpy(), straight, batch["jaw"][row].numpy())
        errors.append((moved.astype(np.float64) - still) ** 2)
    m, v = mean.double().numpy(), logvar.double().numpy()
    kl = (-0.5 * (1 + v - m**2 - np.exp(v)).sum(-1)).mean()
    assert terms["vertices"].item() == pytest.approx(np.mean(errors), rel=1e-4)
    assert terms["kl"].item() == pytest.approx(kl, rel=1e-5)
    assert terms["loss"].item() == pytest.approx(1e6 * np.mean(errors) + 0.001 * kl, rel=1e-4)
