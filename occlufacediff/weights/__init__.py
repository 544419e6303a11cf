"""The open weights that come with the program: folders ``motion_prior`` and ``denoiser``, and ``MODEL_CARD.md``."""

from __future__ import annotations

from pathlib import Path

from occlufacediff.errors import AssetError

#: Networks, each a folder with a checkpoint.
NETWORKS = ("motion_prior", "denoiser")
#: Files of a checkpoint.
FILES = ("model.safetensors", "config.yaml")


def open_weights() -> Path:
    """Folder of the packaged weights, to be given wherever a checkpoint's folder is taken.

    Raises:
        AssetError: this build of the program came without them.
    """
    folder = Path(__file__).resolve().parent
    missing = [f"{network}/{name}" for network in NETWORKS for name in FILES if not (folder / network / name).is_file()]
    if missing:
        raise AssetError(
            f"{folder}: this build has no weights ({missing[0]} is missing); run `make weights`, which makes them by "
            "`snakemake open_weights` and copies results/open_weights/weights there, or give a checkpoint of your own"
        )
    return folder
