"""Which audio a denoiser reads, known before any job runs. Light imports only: Snakemake imports this for each run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import yaml

from occlufacediff.config.schema import Config
from occlufacediff.datasets.audio_kinds import AUDIO_OF_ENCODER, AUDIO_OF_PRESET


def audio_kind(config: Config) -> str:
    """``log_mel``, ``speech`` or ``waveform``: the audio of the denoiser that is trained or used.

    A denoiser from elsewhere (key ``checkpoint``) has its kind in its ``config.yaml``; a file that is missing or
    damaged is reported by the stage that reads the network.
    """
    found = None if config.checkpoint is None else _audio_of_checkpoint(config.checkpoint)
    return AUDIO_OF_PRESET[config.denoiser.preset] if found is None else found


def evaluation_needs_phones(config: Config, checkpoints: Mapping[str, str]) -> bool:
    """Whether a network or a method of the evaluation needs the phones of the clips.

    Args:
        config: the configuration.
        checkpoints: folders of further checkpoints to score.
    """
    kinds = [audio_kind(config), *map(_audio_of_checkpoint, checkpoints.values())]
    return "speech" in kinds or "phone_rules" in config.evaluation.methods


def _audio_of_checkpoint(folder: str) -> str | None:
    try:
        stored = yaml.safe_load((Path(folder) / "denoiser" / "config.yaml").read_text(encoding="utf-8"))
        return AUDIO_OF_ENCODER[stored["model"]["audio"]]
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError):
        return None
