"""The weights in this package, each with a model card.

Folders ``motion_prior`` and ``denoiser`` are the open weights, ``readers`` has the viseme and emotion readers.
"""

from __future__ import annotations

from pathlib import Path

from occlufacediff.config.names import NETWORKS
from occlufacediff.errors import AssetError

#: Files of a checkpoint.
FILES = ("model.safetensors", "config.yaml")


def open_weights() -> Path:
    """Folder of the packaged weights; it can be used wherever a checkpoint folder is expected.

    Raises:
        AssetError: this build has no weights.
    """
    folder = Path(__file__).resolve().parent
    missing = [f"{network}/{name}" for network in NETWORKS for name in FILES if not (folder / network / name).is_file()]
    if missing:
        raise AssetError(
            f"{folder}: this build has no weights ({missing[0]} is missing); run `make weights`, which makes them "
            "with `snakemake open_weights` and copies results/open_weights/weights there, or give another checkpoint"
        )
    return folder


def open_readers() -> Path:
    """File of the packaged viseme and emotion readers.

    Raises:
        AssetError: this build has no readers.
    """
    path = Path(__file__).resolve().parent / "readers" / FILES[0]
    if not path.is_file():
        raise AssetError(
            f"{path}: this build has no readers; run `make reader-weights`, which makes them with `snakemake "
            "reader_weights` and copies them there, or set evaluation.readers to null"
        )
    return path


def occlusion_weights() -> Path:
    """File of the packaged weights of the occlusion network.

    Raises:
        AssetError: this build has no weights.
    """
    path = Path(__file__).resolve().parent / "occlusion" / "model.safetensors"
    if not path.is_file():
        raise AssetError(
            f"{path}: this build has no weights of the occlusion network; run `make occlusion-weights`, which makes "
            "them with `snakemake occlusion_weights`, or set visibility.source to none"
        )
    return path
