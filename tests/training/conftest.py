"""Networks that several test modules use; they are trained once."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

sys.path += [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parent.parent)]

from small_data import Files, write_small_data
from small_training import QUICK, denoiser_of, prior_of

from occlufacediff.config.training import DenoiserSettings


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """Small data."""
    return write_small_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="session")
def prior(files: Files, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a motion prior, trained for 12 steps by one thread."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("prior")
    prior_of(files, folder)
    return folder


@pytest.fixture(scope="session")
def denoiser(files: Files, prior: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a denoiser in the latents of `prior`, trained for 12 steps by one thread."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("denoiser")
    denoiser_of(files, prior, folder, DenoiserSettings(loop=QUICK))
    return folder
