"""One random generator a purpose, named by the seed, the clip and the purpose: no order of work changes a draw."""

from __future__ import annotations

import hashlib

import numpy as np


def rng_for(seed: int, *names: str) -> np.random.Generator:
    """Generator for ``names`` (for example a clip's id and "head motion") under the data set's ``seed``."""
    digest = hashlib.sha256("\x1f".join((str(seed), *names)).encode()).digest()
    return np.random.default_rng(np.frombuffer(digest, dtype=np.uint32))
