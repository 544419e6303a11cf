"""A SLURM of one node on this machine, for tests: real munged, slurmctld and slurmd, with two fake GPUs.

``python tests/cluster/slurm_here.py FOLDER COMMAND...`` runs a command with it; everything ends with the command.
Needs root and Debian's packages ``slurm-wlm`` and ``munge``.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

ETC = Path("/etc/slurm")
FILES = ("slurm.conf", "gres.conf")
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol")
#: More than the machine may have (slurmd takes it at its word), so that jobs of eight threads can start.
CPUS, MEMORY_MB = 8, 12000

_CONF = """
ClusterName={cluster}
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={sockets}/munge.socket
CryptoType=crypto/munge
SlurmctldPort={ctld}
SlurmdPort={slurmd}
SrunPortRange={srun}-{srun_end}
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
StateSaveLocation={folder}/state
SlurmdSpoolDir={sockets}/spool
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
# Without control groups: memory is looked at every two seconds, and a job beyond its own is killed.
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=2
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
SlurmdParameters=config_overrides
ReturnToService=2
MinJobAge=3600
SlurmctldTimeout=30
SlurmdTimeout=30
KillWait=5
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} Gres=gpu:2 State=UNKNOWN
PartitionName=all Nodes={host} Default=YES MaxTime=INFINITE DefMemPerCPU=500 State=UP
"""
_GRES = "NodeName={host} Name=gpu File=/dev/null\nNodeName={host} Name=gpu File=/dev/zero\n"


def why_not() -> str | None:
    """Why SLURM cannot be started here; None where it can."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        return f"not installed: {', '.join(missing)} (Debian: apt-get install slurm-wlm munge)"
    if os.geteuid() != 0:
        return "slurmctld and slurmd are started as root, and this user is not"
    _remove_links(stale_only=True)
    there = [str(ETC / name) for name in FILES if os.path.lexists(ETC / name)]
    return f"a SLURM is configured already: {', '.join(there)}" if there else None


@contextmanager
def running(folder: Path) -> Iterator[None]:
    """SLURM with its files in a new folder below ``folder``; ended by pid, its links removed whatever happens."""
    reason = why_not()
    if reason is not None:
        raise RuntimeError(reason)
    # A fresh one: a controller takes up what it finds of an earlier one.
    folder = folder / _cluster()
    (folder / "state").mkdir(parents=True)
    # The name of a socket has at most 108 characters, and slurmd does not say when its jobs' are longer: it holds them.
    sockets = Path(tempfile.mkdtemp(prefix="slurm-", dir="/tmp"))
    (sockets / "spool").mkdir()
    host = socket.gethostname().split(".")[0]
    names = {"folder": folder, "sockets": sockets, "host": host, "cluster": _cluster(), "cpus": CPUS}
    names |= {"memory": MEMORY_MB, **_ports()}
    (folder / "slurm.conf").write_text(_CONF.format(**names))
    (folder / "gres.conf").write_text(_GRES.format(**names))
    processes: list[subprocess.Popen[bytes]] = []
    before = signal.signal(signal.SIGTERM, _leave)
    try:
        ETC.mkdir(exist_ok=True)
        for name in FILES:
            (ETC / name).symlink_to(folder / name)
        (folder / "pid").write_text(str(os.getpid()))
        _start_munge(folder, sockets, processes)
        processes.append(_start(["slurmctld", "-D"], folder))
        processes.append(_start(["slurmd", "-D"], folder))
        _wait(lambda: "idle" in _ask("sinfo", "--noheader", "--format=%T"), folder, "the node")
        yield
    finally:
        _cancel_jobs()
        _end(processes)
        _end_orphans()
        _remove_links(stale_only=False)
        shutil.rmtree(sockets, ignore_errors=True)
        signal.signal(signal.SIGTERM, before)


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _ports() -> dict[str, int]:
    """Free ports: the controller's, the node's, and a range for srun."""
    sockets = [socket.socket() for _ in range(2)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ctld, slurmd = (one.getsockname()[1] for one in sockets)
    for one in sockets:
        one.close()
    return {"ctld": ctld, "slurmd": slurmd, "srun": 61000, "srun_end": 61900}


def _start(command: list[str], folder: Path) -> subprocess.Popen[bytes]:
    log = (folder / f"{command[0]}.out").open("ab")
    with log:
        # A session of its own: Ctrl-C in the terminal ends the tests, and they end this in order.
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)


def _start_munge(folder: Path, sockets: Path, processes: list[subprocess.Popen[bytes]]) -> None:
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)
    places = {"key-file": key, "socket": sockets / "munge.socket"}
    places |= {f"{name}-file": folder / f"munge.{name}" for name in ("pid", "log", "seed")}
    options = [f"--{name}={place}" for name, place in places.items()]
    processes.append(_start(["munged", "--foreground", "--force", *options], folder))
    _wait(lambda: (sockets / "munge.socket").exists(), folder, "munged")


def _wait(ready: Callable[[], bool], folder: Path, what: str, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            logs = {path.name: path.read_text(errors="replace")[-1500:] for path in folder.glob("*.[lo][ou][gt]")}
            raise RuntimeError(f"{what} did not start within {seconds:g} s: {logs}")
        time.sleep(0.2)


def _cancel_jobs(seconds: float = 30) -> None:
    """End all jobs while slurmd is there to end their processes."""
    _ask("scancel", "--user=root")
    deadline = time.monotonic() + seconds
    while _ask("squeue", "--noheader", "--states=running,completing") and time.monotonic() < deadline:
        time.sleep(0.5)


def _cluster() -> str:
    """Name of this cluster, of this process alone; every process of its jobs has it in its environment."""
    return f"here{os.getpid()}"


def _end_orphans() -> None:
    """Kill what is left of the jobs: without control groups SLURM loses a process whose parent has ended."""
    mark = f"SLURM_CLUSTER_NAME={_cluster()}".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (folder / "environ").read_bytes().split(b"\0"):
                os.kill(int(folder.name), signal.SIGKILL)
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue


def _ask(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout


def _end(processes: list[subprocess.Popen[bytes]]) -> None:
    """End what was started, the last one first; SIGKILL where SIGTERM is not enough."""
    for process in reversed(processes):
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _remove_links(*, stale_only: bool) -> None:
    """Remove our links from /etc/slurm; never a file, nor a link of a SLURM that still runs."""
    for link in (ETC / name for name in FILES):
        if not link.is_symlink():
            continue
        pid = link.readlink().parent / "pid"
        alive = pid.is_file() and Path(f"/proc/{pid.read_text()}").exists()
        ours = not link.readlink().exists() or pid.is_file()
        if ours and not (stale_only and alive):
            link.unlink()


if __name__ == "__main__":
    with running(Path(sys.argv[1]).resolve()):
        status = subprocess.run(sys.argv[2:], check=False).returncode
    sys.exit(status)
