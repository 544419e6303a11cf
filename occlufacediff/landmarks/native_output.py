"""Suppresses log output of native libraries."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def silence_native_output() -> Iterator[None]:
    """Redirect file descriptor 2 to the null device: MediaPipe's native code logs to it while it starts."""
    stderr_copy = os.dup(2)
    null_device = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null_device, 2)
        yield
    finally:
        os.dup2(stderr_copy, 2)
        os.close(stderr_copy)
        os.close(null_device)
