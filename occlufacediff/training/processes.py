"""Several processes that train together: how they are started, watched and ended.

Snakemake's scripts cannot be started a second time as they are, so each process runs this module, which calls a
function with arguments that the first process wrote to a file. On one machine they are child processes; in a SLURM job
they are the tasks of one ``srun``. They find each other through a store in the process that started them.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import pickle
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from occlufacediff import errors, storage
from occlufacediff.config.loop import LoopSettings
from occlufacediff.errors import AssetError, ConfigError, OccluFaceError
from occlufacediff.training.parallel import TIMEOUT, launched, make_fabric
from occlufacediff.training.share import Share

#: Seconds that the other processes get to end after one has failed.
GRACE = 10.0
_CALL, _FAULT, _OUTPUT = "call.pickle", "fault-{}.json", "output-{}.log"


def check_processes(settings: LoopSettings, device: torch.device, key: str) -> None:
    """Check the number of processes.

    Args:
        settings: of the loop.
        device: where to train.
        key: the section of these settings, for messages, such as ``denoiser.loop``.

    Raises:
        ConfigError: more GPUs than the machine has, more nodes without SLURM, or a batch that cannot be shared.
    """
    count = settings.devices * settings.nodes
    if device.type == "cuda" and settings.devices > torch.cuda.device_count():
        raise ConfigError(
            f"{key}.devices: got {settings.devices}, but this machine has {torch.cuda.device_count()} usable GPU(s); "
            f"set it to {torch.cuda.device_count()}, or train where there are more"
        )
    if settings.nodes > 1 and not in_slurm():
        raise ConfigError(
            f"{key}.nodes: got {settings.nodes}, but this is no SLURM job; set it to 1, or use profiles/slurm"
        )
    if settings.batch_size % count:
        raise ConfigError(
            f"{key}.batch_size: got {settings.batch_size}, needs a multiple of devices * nodes, which is {count}"
        )


def in_slurm() -> bool:
    """Whether this process runs in a SLURM job, and may start tasks in it."""
    return "SLURM_JOB_ID" in os.environ and shutil.which("srun") is not None


def several(settings: LoopSettings) -> bool:
    """Whether the training needs more processes than this one."""
    return settings.devices * settings.nodes > 1 and not launched()


def launch(
    function: Callable[..., None],
    arguments: Mapping[str, Any],
    *,
    settings: LoopSettings,
    device: torch.device,
    folder: Path,
) -> None:
    """Call a function in ``devices * nodes`` processes that form a process group, and wait for them.

    If one process fails, the others are ended, and its error is raised here.

    Args:
        function: a function of a module; it must call `train` with the same settings.
        arguments: its keyword arguments; they are pickled.
        settings: of the loop.
        device: kind of device.
        folder: a folder that all nodes see, for temporary files.

    Raises:
        OccluFaceError: the error of a process.
        AssetError: a process was killed or crashed.
    """
    count = settings.devices * settings.nodes
    with storage.faults_named(folder):
        folder.mkdir(parents=True, exist_ok=True)
        # Only this user can read or change it.
        aside = Path(tempfile.mkdtemp(prefix=".processes-", dir=folder))
    store = torch.distributed.TCPStore("0.0.0.0", 0, count, is_master=True, wait_for_workers=False, timeout=TIMEOUT)
    try:
        with storage.faults_named(aside):
            call = (function.__module__, function.__qualname__, dict(arguments), settings, device.type)
            (aside / _CALL).write_bytes(pickle.dumps(call))
        environment = _environment(settings, device, store.port)
        command = [sys.executable, "-m", __name__, str(aside)]
        if in_slurm():
            processes = [subprocess.Popen([*_srun(settings), *command], env=environment, stdin=subprocess.DEVNULL)]
        else:
            processes = []
            for rank in range(count):
                place = {"RANK": str(rank), "LOCAL_RANK": str(rank), "GROUP_RANK": "0"}
                # Processes end when this pipe closes, so none outlives a killed parent.
                process = subprocess.Popen(command, env={**environment, **place}, stdin=subprocess.PIPE)
                processes.append(process)
        _wait(processes, aside)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _environment(settings: LoopSettings, device: torch.device, port: int) -> dict[str, str]:
    """Environment of the processes: the variables of ``torchrun`` that do not depend on the process."""
    one = settings.nodes == 1
    values = {
        "WORLD_SIZE": str(settings.devices * settings.nodes),
        "LOCAL_WORLD_SIZE": str(settings.devices),
        "MASTER_ADDR": "127.0.0.1" if one else socket.gethostname(),
        "MASTER_PORT": str(port),
        "TORCHELASTIC_RUN_ID": "occlufacediff",
        "TORCHELASTIC_RESTART_COUNT": "0",
        # The store is here and not in the first process: its port is certainly free.
        "TORCHELASTIC_USE_AGENT_STORE": "True",
        # DDP warns where all weights have gradients, which is the usual case here.
        "TORCH_CPP_LOG_LEVEL": os.environ.get("TORCH_CPP_LOG_LEVEL", "ERROR"),
    }
    if one:
        # Host names of machines often do not resolve to an address that works.
        values["GLOO_SOCKET_IFNAME"] = os.environ.get("GLOO_SOCKET_IFNAME", "lo")
    if device.type == "cpu" and "OMP_NUM_THREADS" not in os.environ:
        values["OMP_NUM_THREADS"] = str(max(1, len(os.sched_getaffinity(0)) // settings.devices))
    return {**os.environ, **values}


def _srun(settings: LoopSettings) -> list[str]:
    """The command that starts the tasks in this SLURM job."""
    tasks = settings.devices * settings.nodes
    return [
        "srun",
        f"--ntasks={tasks}",
        f"--nodes={settings.nodes}",
        f"--ntasks-per-node={settings.devices}",
        # The step may share the job's cores with the script that waits for it.
        "--overlap",
        "--overcommit",
        "--gpu-bind=none",
        "--cpu-bind=none",
        "--kill-on-bad-exit=1",
        "--export=ALL",
    ]


def _wait(processes: list[subprocess.Popen[bytes]], aside: Path) -> None:
    """Wait for all processes; if one fails, end the others and raise its error."""
    try:
        while any(process.poll() is None for process in processes):
            if any(process.poll() not in (None, 0) for process in processes):
                break
            time.sleep(0.1)
    finally:
        failed = [(rank, process.returncode) for rank, process in enumerate(processes) if process.poll()]
        # The others fail too, where the first one is missing; its fault is already written then.
        _end(processes, GRACE if failed else 0)
    if not failed:
        return
    fault = _first_fault(aside)
    for log in sorted(aside.glob(_OUTPUT.format("*"))):
        print(f"{log.stem}:\n{log.read_text(errors='replace')[-4000:]}", file=sys.stderr)
    if fault is None or not fault["known"]:
        # A killed process is the reason for the errors of its partners.
        rank, status = min(failed, key=lambda one: one[1])
        how = f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        if status < 0:
            raise AssetError(
                f"one of the processes that train together (number {rank}) {how}; a SIGKILL is mostly due to memory: "
                "lower loop.batch_size or loop.loader_workers, then run again: the training resumes from its last state"
            )
        what = fault["message"] if fault else how
        raise AssetError(f"one of the processes that train together failed: {what} (its output is in the log)")
    kind: type[OccluFaceError] = {**vars(errors), **vars(storage)}.get(fault["type"], AssetError)
    raise kind(fault["message"])


def _first_fault(aside: Path) -> dict[str, str] | None:
    """The error of the process that failed first, as it wrote it."""
    faults = []
    for path in aside.glob(_FAULT.format("*")):
        with suppress(OSError, ValueError):
            faults.append((json.loads(path.read_text()), path.stat().st_mtime_ns))
    # An error for users explains the end of the others, which miss a partner.
    faults.sort(key=lambda fault: (not fault[0]["known"], fault[1]))
    return faults[0][0] if faults else None


def _end(processes: list[subprocess.Popen[bytes]], grace: float) -> None:
    """End processes: SIGTERM after ``grace`` seconds, SIGKILL after as many more."""
    for send in (None, signal.SIGTERM, signal.SIGKILL):
        for process in processes:
            if send is not None and process.poll() is None:
                process.send_signal(send)
        deadline = time.monotonic() + (grace if send is None else GRACE)
        while any(process.poll() is None for process in processes) and time.monotonic() < deadline:
            time.sleep(0.05)
    for process in processes:
        if process.stdin is not None:
            with suppress(OSError):
                process.stdin.close()


def _end_with_parent() -> None:
    """End this process when the one that started it is gone."""

    def watch() -> None:
        # Not through sys.stdin, whose lock would disturb the end of this process.
        os.read(0, 1)
        os._exit(1)

    threading.Thread(target=watch, name="parent", daemon=True).start()


def main(folder: str) -> int:
    """One process of a training that `launch` started; the result is its exit status."""
    aside = Path(folder)
    if "SLURM_PROCID" in os.environ and "RANK" not in os.environ:
        for name, given in {"RANK": "PROCID", "LOCAL_RANK": "LOCALID", "GROUP_RANK": "NODEID"}.items():
            os.environ[name] = os.environ[f"SLURM_{given}"]
    else:
        _end_with_parent()
    rank = int(os.environ["RANK"])
    if rank == 0:
        print(f"{os.environ['WORLD_SIZE']} processes train together", file=sys.stderr, flush=True)
    else:
        # The first process speaks for all; the output of the others is shown if one fails.
        output = os.open(aside / _OUTPUT.format(rank), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(output, 1)
        os.dup2(output, 2)
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    try:
        # The parent wrote the file, into a folder that only this user can write to.
        module, name, arguments, settings, device = pickle.loads((aside / _CALL).read_bytes())  # noqa: S301
        make_fabric(settings, torch.device(device))
        assert Share.current().processes > 1
        getattr(importlib.import_module(module), name)(**arguments)
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()
    except Exception as error:  # noqa: BLE001 -- the parent reports every kind
        known = isinstance(error, OccluFaceError)
        if not known:
            traceback.print_exc()
        message = str(error) if known else f"{type(error).__name__}: {error}"
        fault = {"type": type(error).__name__, "known": known, "message": message}
        # Where the disk is full, the exit status remains.
        with suppress(OSError):
            (aside / _FAULT.format(rank)).write_text(json.dumps(fault))
        sys.stdout.flush()
        sys.stderr.flush()
        # Without the usual end, which waits for partners that may be gone.
        os._exit(1)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
