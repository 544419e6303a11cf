"""Limits of the libraries' threads, set before the libraries are imported."""

from __future__ import annotations

import os


def limit_threads(cores: int | None = None) -> None:
    """Make idle threads sleep after a short spin, and limit the renderer's threads; set variables are kept.

    With the default, a long spin, networks become many times slower when other processes use the cores. Without a
    spin, training takes twice as long.

    Args:
        cores: cores of this process, which limit the software renderer; its default is all cores of the machine.
            None: no limit.
    """
    os.environ.setdefault("GOMP_SPINCOUNT", "20000")
    # With two threads, OpenCV needs twice the CPU time for images as small as a crop and is no faster.
    os.environ.setdefault("OPENCV_FOR_THREADS_NUM", "1")
    if cores is not None:
        # 0: render in the calling thread.
        os.environ.setdefault("LP_NUM_THREADS", str(cores if cores > 1 else 0))
