"""Pattern of names that become folders or files: data sets, subjects, assets, runs. Standard library only."""

from __future__ import annotations

import re

#: Begins with a letter or digit, so that it is never a hidden file, an option or ``..``.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
#: Folders of the two networks in a checkpoint folder.
NETWORKS = ("motion_prior", "denoiser")
#: Formats of `occlufacediff export` and the suffixes of their files.
EXPORT_SUFFIXES = {
    "glb": ".glb",
    "usd": ".usdc",
    "livelink": ".livelink.csv",
    "audio2face": ".a2f.json",
    "vrma": ".vrma",
    "obj": ".obj.zip",
    "fbx": ".fbx",
    "alembic": ".abc",
}
#: Those of them that only Blender writes.
BLENDER_FORMATS = ("fbx", "alembic")
EXPORT_FORMATS = tuple(name for name in EXPORT_SUFFIXES if name not in BLENDER_FORMATS)
#: Strengths of the smoothing of exports.
SMOOTHING = ("off", "light", "medium", "strong")
#: Blinks of exports.
BLINKS = ("full", "measured")
#: How to install a tracker of `config.loop.LoopSettings.trackers`.
TRACKER_INSTALLS = {"tensorboard": "pip install tensorboard", "wandb": "pip install wandb 'protobuf<5'"}
