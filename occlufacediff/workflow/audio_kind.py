"""Which audio a denoiser reads, known before any job runs. Light imports only: Snakemake imports this for each run."""

from __future__ import annotations

from pathlib import Path

import yaml

from occlufacediff.config.schema import Config
from occlufacediff.datasets.audio_kinds import AUDIO_OF_ENCODER, AUDIO_OF_PRESET


def audio_kind(config: Config) -> str:
    """``log_mel``, ``speech`` or ``waveform``: the audio of the denoiser that is trained or used.

    A denoiser from elsewhere (key ``checkpoint``) has its kind in its ``config.yaml``; a file that is missing or
    damaged is reported by the stage that reads the network.
    """
    if config.checkpoint is not None:
        try:
            stored = yaml.safe_load((Path(config.checkpoint) / "denoiser" / "config.yaml").read_text(encoding="utf-8"))
            return AUDIO_OF_ENCODER[stored["model"]["audio"]]
        except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError):
            pass
    return AUDIO_OF_PRESET[config.denoiser.preset]
