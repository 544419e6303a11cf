"""Named random generators: each draw depends on seed and name only, not on the order of the work."""

from __future__ import annotations

import hashlib

import numpy as np


def rng_for(seed: int, *names: str) -> np.random.Generator:
    """Random generator of ``seed`` and ``names``, for example a clip's id and "head"."""
    digest = hashlib.sha256("\x1f".join((str(seed), *names)).encode()).digest()
    return np.random.default_rng(np.frombuffer(digest, dtype=np.uint32))
