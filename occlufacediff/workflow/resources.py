"""Resources that a training requests from Snakemake and SLURM: one task per process."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from occlufacediff.config.loop import LoopSettings
from occlufacediff.config.names import TRACKER_INSTALLS
from occlufacediff.errors import ConfigError


def check_batch(loop: LoopSettings, key: str) -> None:
    """Check when the workflow starts that the processes of a training can share its batches.

    Raises:
        ConfigError: they cannot.
    """
    count = loop.devices * loop.nodes
    if loop.batch_size % count:
        raise ConfigError(f"{key}.batch_size: got {loop.batch_size}, needs a multiple of devices * nodes ({count})")


def check_devices(loop: LoopSettings, key: str, device: str, gpus: int) -> None:
    """Check when the workflow starts that this machine can run a training.

    Args:
        loop: settings of the training.
        key: their section, for messages, such as ``denoiser.loop``.
        device: ``auto``, ``cpu`` or ``cuda``.
        gpus: number of GPUs of this machine.

    Raises:
        ConfigError: more GPUs than there are, or several nodes without SLURM.
    """
    if loop.nodes > 1:
        raise ConfigError(f"{key}.nodes: got {loop.nodes}, but jobs run on this machine; set it to 1, or use SLURM")
    if device == "cuda" and not gpus:
        raise ConfigError("device: got cuda, but this machine has no GPU; set it to auto or cpu, or use SLURM")
    if device != "cpu" and gpus < loop.devices and (gpus or loop.devices > 1):
        remedy = f"set it to {gpus}" if gpus else "set it to 1, or set device: cpu for processes on the CPU"
        raise ConfigError(
            f"{key}.devices: got {loop.devices}, but this machine has {gpus} GPU(s); {remedy}, or use SLURM"
        )


def check_trackers(loop: LoopSettings, key: str) -> None:
    """Check when the workflow starts that the trackers of a training are installed.

    Raises:
        ConfigError: one is not.
    """
    for name in loop.trackers:
        if find_spec(name) is None:
            raise ConfigError(f"{key}.trackers: {name} is not installed; run {TRACKER_INSTALLS[name]}, or remove it")


def gpus_here() -> int:
    """Number of NVIDIA GPUs that the driver of this machine lists; 0 without a driver."""
    folder = Path("/proc/driver/nvidia/gpus")
    return len(list(folder.iterdir())) if folder.is_dir() else 0


def training_tasks(loop: LoopSettings, gpus: int) -> dict[str, Any]:
    """Resources of a training, beside memory and time.

    A training in several processes gets one SLURM task per process. ``mpi`` keeps Snakemake's SLURM plugin from
    starting the script in a single task; the script starts ``srun`` itself (`training.processes`).

    Args:
        loop: settings of the training.
        gpus: GPUs per process, 0 or 1.
    """
    tasks = loop.devices * loop.nodes
    if tasks == 1:
        return {"gpu": gpus}
    several = {"tasks": tasks, "nodes": loop.nodes, "mpi": "srun"}
    if not gpus:
        return several
    # GPUs of each node, where the plugin would request a sum, which SLURM may spread unevenly.
    where = {"gpu": tasks} if loop.nodes == 1 else {"gres": f"gpu:{loop.devices}"}
    return several | where | {"tasks_per_gpu": 0}
