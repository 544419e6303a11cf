"""Resources that a training requests from Snakemake and SLURM: one task per process."""

from __future__ import annotations

from typing import Any

from occlufacediff.config.loop import LoopSettings


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
