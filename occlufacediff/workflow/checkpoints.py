"""Checks of a folder with both networks when the run starts, from their descriptions only. No heavy imports."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from occlufacediff.config.names import NETWORKS
from occlufacediff.errors import ConfigError
from occlufacediff.files import sha256


def check_networks(key: str, folder: str) -> dict[str, dict[str, Any]]:
    """The descriptions of ``motion_prior/`` and ``denoiser/`` in ``folder``, which must have been trained together.

    Args:
        key: configuration key that names the folder, for messages.
        folder: checkpoint of both networks, whose files exist.

    Raises:
        ConfigError: a description is damaged, or the networks belong to different head models or runs.
    """
    described: dict[str, dict[str, Any]] = {}
    for network in NETWORKS:
        path = Path(folder, network, "config.yaml")
        try:
            described[network] = yaml.safe_load(path.read_text(encoding="utf-8"))
            if described[network]["kind"] != network:
                raise ValueError(f"it describes a {described[network]['kind']}")
        except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
            raise ConfigError(
                f"Configuration, {key}: {path} does not describe a {network} ({error}); give the folder of a trained "
                "run (results/<dataset>/runs/<run>)."
            ) from None
    heads = [(about.get("head_name"), about.get("head_digest")) for about in described.values()]
    if heads[0] != heads[1]:
        raise ConfigError(
            f"Configuration, {key}: in {folder} the motion prior is of the head model {heads[0][0]}, the denoiser of "
            f"{heads[1][0]}, or of other versions of it; give a folder of networks trained together."
        )
    # Written by `models.checkpoint`, which imports torch.
    wanted = (described["denoiser"].get("training") or {}).get("motion_prior_sha256")
    if wanted is not None and wanted != sha256(Path(folder, "motion_prior", "model.safetensors")):
        raise ConfigError(
            f"Configuration, {key}: the denoiser in {folder} was trained with another motion prior than the one beside "
            "it, so it predicts other latents; give a folder of networks trained together."
        )
    return described
