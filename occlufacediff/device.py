"""The torch device that the configuration's ``device`` names, and torch's threads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from occlufacediff.errors import ConfigError


def pick_device(name: str) -> torch.device:
    """The device for ``auto`` (a GPU when there is one), ``cpu`` or ``cuda``.

    Raises:
        ConfigError: another name, or ``cuda`` on a machine without a usable GPU.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise ConfigError(f"device: got {name!r}, needs auto, cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device: got cuda, but torch finds no usable GPU; set device to auto or cpu")
    return torch.device("cpu" if name == "cpu" or not torch.cuda.is_available() else "cuda")


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute with one thread: for small networks beside other work, where threads mostly wait."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
