"""How threads of the libraries behave, settled before the libraries are first imported."""

from __future__ import annotations

import os


def limit_threads(cores: int | None = None) -> None:
    """Let threads that wait spin briefly, then sleep; what the environment says already is kept.

    Spinning long, the default, makes a network many times slower when anything else wants a core; sleeping at once
    halves the speed of training.

    Args:
        cores: cores that this process was given; the software renderer takes no more (by itself it takes every core
            it sees). None: no limit.
    """
    os.environ.setdefault("GOMP_SPINCOUNT", "20000")
    if cores is not None:
        # 0: it draws on the calling thread.
        os.environ.setdefault("LP_NUM_THREADS", str(cores if cores > 1 else 0))
