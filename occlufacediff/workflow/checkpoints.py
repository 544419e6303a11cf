"""Checkpoints that the configuration names, checked when the run starts. No heavy imports."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from occlufacediff.config.names import NAME, NETWORKS
from occlufacediff.config.schema import Config
from occlufacediff.errors import ConfigError
from occlufacediff.files import sha256
from occlufacediff.weights import FILES, open_weights

#: Key of a motion prior that the run uses without training it.
KEPT = "run.motion_prior"


def check_networks(key: str, folder: str) -> dict[str, dict[str, Any]]:
    """The descriptions of ``motion_prior/`` and ``denoiser/`` in ``folder``, which must have been trained together.

    Args:
        key: configuration key that names the folder, for messages.
        folder: checkpoint of both networks, whose files exist.

    Raises:
        ConfigError: a description is damaged, or the networks belong to different head models or runs.
    """
    described = {network: description_of(key, Path(folder, network), network) for network in NETWORKS}
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


def description_of(key: str, folder: Path, network: str) -> dict[str, Any]:
    """The description in ``config.yaml`` of a trained network.

    Args:
        key: configuration key that names the folder, for messages.
        folder: of the network.
        network: ``motion_prior`` or ``denoiser``.

    Raises:
        ConfigError: there is none, or it describes another network.
    """
    path = folder / "config.yaml"
    try:
        described: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
        if described["kind"] != network:
            raise ValueError(f"it describes a {described['kind']}")
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
        raise ConfigError(
            f"Configuration, {key}: {path} does not describe a {network} ({error}); give the folder of a trained "
            f"{'motion prior' if key == KEPT else 'run (results/<dataset>/runs/<run>)'}."
        ) from None
    return described


def kept_motion_prior(config: Config) -> list[str]:
    """Files of the motion prior that the run uses without training it; none if it is trained.

    Raises:
        ConfigError: a file of it is missing.
        AssetError: this build has no open weights.
    """
    initial = initial_checkpoint(config)
    folder = config.run.motion_prior if initial is None else str(Path(initial, "motion_prior"))
    if folder is None:
        return []
    files = [Path(folder, name) for name in FILES]
    for file in files:
        if not file.is_file():
            raise ConfigError(
                f"Configuration, {KEPT}: there is no file {file}; give the folder of a trained motion prior "
                "(results/<dataset>/runs/<run>/motion_prior, or what occlufacediff convert FLINT.ckpt writes), or null "
                "to train it."
            )
    return [str(file) for file in files]


def initial_checkpoint(config: Config) -> str | None:
    """Folder of the checkpoint that the run starts from; None if it starts from random weights.

    Raises:
        ConfigError: a file of it is missing.
        AssetError: this build has no open weights.
    """
    if config.run.init_from is None:
        return None
    folder = str(open_weights()) if config.run.init_from == "open" else config.run.init_from
    for network in NETWORKS:
        for name in FILES:
            file = Path(folder, network, name)
            if not file.is_file():
                raise ConfigError(
                    f"Configuration, run.init_from: there is no file {file}; give the folder of a trained "
                    "run (results/<dataset>/runs/<run>), or open for the open weights, or null for random weights."
                )
    return folder


def evaluated_checkpoints(config: Config) -> dict[str, str]:
    """Folders of further checkpoints to score, by the name of their method.

    Raises:
        ConfigError: a file of a checkpoint is missing.
        AssetError: this build has no open weights.
    """
    folders = {}
    for name, given in config.evaluation.checkpoints.items():
        of_run = Path("results", config.dataset, "runs", given)
        folder = Path(given)
        if given == "open":
            folder = open_weights()
        elif NAME.fullmatch(given) and not folder.is_dir():
            folder = of_run
        for file in checkpoint_files(folder):
            if not Path(file).is_file():
                raise ConfigError(
                    f"Configuration, evaluation.checkpoints.{name}: there is no file {file}; give the folder of a "
                    "trained run, or the name of a run of this data set, or open for the open weights."
                )
        folders[name] = str(folder)
    return folders


def compared_runs(config: Config) -> list[tuple[str, int, int]]:
    """Path, size and time of the metrics of each run of `report.compare`.

    Raises:
        ConfigError: a run is not evaluated.
    """
    found = []
    for name in config.report.compare:
        path = Path("results", config.dataset, "runs", name, "evaluation", "metrics.csv")
        if not path.is_file():
            raise ConfigError(
                f"Configuration, report.compare: there is no file {path}; evaluate the run {name} or leave it out."
            )
        found.append((str(path), path.stat().st_size, path.stat().st_mtime_ns))
    return found


def checkpoint_files(folder: str | Path) -> list[str]:
    """Files of both networks in a folder with ``motion_prior/`` and ``denoiser/``."""
    return [str(Path(folder, network, name)) for network in NETWORKS for name in FILES]
