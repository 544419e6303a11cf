"""The training loop with a small task: accumulation, phases, skipped steps, several processes, precision."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

sys.path.append(str(Path(__file__).resolve().parent))

from toy_task import CPU, ToyTask, train_toy

from occlufacediff.config.loop import LoopSettings
from occlufacediff.errors import AssetError, ConfigError
from occlufacediff.training.loop import CLOCK_COLUMNS, steps_of
from occlufacediff.training.processes import check_processes, launch

SETTINGS = LoopSettings(
    max_steps=12,
    batch_size=8,
    accumulate=3,
    learning_rate=0.02,
    validate_every=4,
    save_every=4,
    warmup_steps=2,
    ema_decay=0.9,
)
TWO = replace(SETTINGS, devices=2)


def rows(folder: Path) -> list[dict[str, float]]:
    with (folder / "history.csv").open() as file:
        return [{k: float(v) for k, v in row.items() if k not in CLOCK_COLUMNS} for row in csv.DictReader(file)]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return torch.load(folder / "weights.pt", weights_only=True)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("alone")
    train_toy(SETTINGS, folder)
    return folder


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("together")
    in_two(folder)
    return folder


def in_two(folder: Path, settings: LoopSettings = TWO, **arguments: object) -> None:
    """Train the toy task in two processes, which must find this folder's modules."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]))
        given = {"settings": settings, "out_dir": folder, **arguments}
        launch(train_toy, given, settings=settings, device=CPU, folder=folder)


def test_the_toy_learns(alone: Path) -> None:
    found = rows(alone)
    assert [row["step"] for row in found] == [4, 8, 12]
    assert found[-1]["loss"] < 0.7 * found[0]["loss"]


def test_accumulated_micro_batches_are_one_large_batch(tmp_path: Path) -> None:
    """Without BatchNorm, phases and noise the gradient of three micro-batches is that of their union."""
    task = ToyTask(8)
    task.model.eval()
    batches = list(task.batches(0, 3))
    for batch in batches:
        x = batch["x"]
        ((task.model(x, True) - x[:, :3].sin()).square().mean() / 3).backward()
    summed = [p.grad.clone() for p in task.model.parameters() if p.grad is not None]
    task.model.zero_grad()
    x = torch.cat([batch["x"] for batch in batches])
    (task.model(x, True) - x[:, :3].sin()).square().mean().backward()
    whole = [p.grad for p in task.model.parameters() if p.grad is not None]
    for one, other in zip(summed, whole, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-7)


def test_frozen_weights_rest_while_their_phase_lasts(tmp_path: Path) -> None:
    """The first phase has five micro-batches: with three a step, the second step's last one is in the next phase."""
    for steps, moved in ((1, False), (2, True)):
        train_toy(replace(SETTINGS, max_steps=steps), tmp_path / str(steps))
        found = weights(tmp_path / str(steps))
        before = ToyTask(8).model.state_dict()
        assert bool((found["audio.weight"] != before["audio.weight"]).any()) is moved
        assert (found["first.weight"] != before["first.weight"]).any()
        assert (found["never.weight"] == before["never.weight"]).all()


def test_two_processes_give_the_curve_of_one(alone: Path, together: Path) -> None:
    """Tolerance 1e-4 of each value: sums in another order, over 36 micro-batches with phases and BatchNorm."""
    for one, two in zip(rows(alone), rows(together), strict=True):
        assert one == pytest.approx(two, rel=1e-4)
    for name, value in weights(alone).items():
        torch.testing.assert_close(value, weights(together)[name], rtol=1e-3, atol=1e-5)


def test_two_processes_resume_to_the_bit_after_a_kill(together: Path, tmp_path: Path) -> None:
    """The first process is killed in the seventh step, between phases; the next start goes on from step 4."""
    with pytest.raises(AssetError, match=r"\(number 0\) was ended by SIGKILL"):
        in_two(tmp_path, die_at=19)
    state = torch.load(tmp_path / "resume" / "state.pt", weights_only=True)
    assert state["progress"]["step"] == 4
    in_two(tmp_path)
    assert rows(tmp_path) == rows(together)
    for name, value in weights(together).items():
        assert torch.equal(value, weights(tmp_path)[name])


def test_processes_end_with_the_one_that_started_them(tmp_path: Path) -> None:
    code = (
        f"import sys; sys.path[:0] = {[str(Path(__file__).parent)]}\n"
        "from pathlib import Path\n"
        "from test_loop import TWO, in_two\n"
        "from dataclasses import replace\n"
        f"in_two(Path({str(tmp_path)!r}), replace(TWO, max_steps=100000, validate_every=100000))\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code])
    try:
        wait_for((tmp_path / "resume" / "state.pt").exists)
        children = children_of(parent.pid)
        assert len(children) == 2
    finally:
        parent.kill()
        parent.wait()
    wait_for(lambda: not any(is_running(child) for child in children))


def wait_for(ready: Callable[[], bool], seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)


def children_of(pid: int) -> list[int]:
    """Processes of a training that process ``pid`` started."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == pid and b"occlufacediff.training.processes" in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_killed_process_ends_the_others_with_one_message(tmp_path: Path) -> None:
    endless = replace(TWO, max_steps=100_000, validate_every=100_000)

    def kill() -> None:
        wait_for((tmp_path / "resume" / "state.pt").exists)
        os.kill(children_of(os.getpid())[0], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(AssetError, match=r"was ended by SIGKILL; .*the training resumes from its last state"):
        in_two(tmp_path, endless)
    killer.join()
    assert not children_of(os.getpid())
    assert not list(tmp_path.glob(".processes-*"))


def test_an_error_of_a_process_is_the_error_of_the_training(tmp_path: Path) -> None:
    """The loss of the rows of the second process alone is not finite; both processes skip the same steps."""
    with pytest.raises(AssetError, match=r"toy: the loss or its gradient was not finite in 2 of \d steps, more than"):
        in_two(tmp_path, replace(TWO, skip_limit=1), broken=(4, 8))


@pytest.mark.parametrize("fused", [False, True])
def test_steps_that_are_not_finite_are_skipped_and_counted(tmp_path: Path, fused: bool) -> None:
    settings = replace(SETTINGS, fused=fused, max_steps=4, ema_decay=0.0)
    # Micro-batches 6 to 8 are the third step.
    train_toy(settings, tmp_path / "broken", broken=(7,))
    (row,) = rows(tmp_path / "broken")
    assert row["skipped"] == 1
    assert row["loss"] < 10
    # The optimizer did not count the third step either.
    state = torch.load(tmp_path / "broken" / "resume" / "state.pt", weights_only=True)
    assert state["optimizer"]["state"][0]["step"] == 3
    assert all(torch.isfinite(value).all() for value in weights(tmp_path / "broken").values())
    with pytest.raises(AssetError, match=r"not finite in 1 of 3 steps, more than loop.skip_limit \(0\); lower"):
        train_toy(replace(settings, skip_limit=0), tmp_path / "none", broken=(7,))


def test_fused_updates_are_those_of_the_plain_optimizer(alone: Path, tmp_path: Path) -> None:
    train_toy(replace(SETTINGS, fused=True), tmp_path)
    for name, value in weights(alone).items():
        torch.testing.assert_close(value, weights(tmp_path)[name], rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_a_compiled_network_trains_the_same(alone: Path, tmp_path: Path) -> None:
    train_toy(replace(SETTINGS, compile=True), tmp_path)
    assert rows(alone)[-1] == pytest.approx(rows(tmp_path)[-1], rel=1e-3)


def test_epochs_stand_for_steps() -> None:
    assert steps_of(replace(SETTINGS, epochs=None), 4) == 12
    # 20 micro-batches are six steps of three; the last two are left out.
    assert steps_of(replace(SETTINGS, epochs=5), 4) == 6
    with pytest.raises(ConfigError, match="1 epochs have 2 micro-batches, fewer than"):
        steps_of(replace(SETTINGS, epochs=1), 2)


def test_processes_that_cannot_be_had_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    cuda = torch.device("cuda")
    check_processes(TWO, cuda, "denoiser.loop")
    with pytest.raises(ConfigError, match=r"denoiser.loop.devices: got 4, but this machine has 2 usable GPU"):
        check_processes(replace(TWO, devices=4), cuda, "denoiser.loop")
    with pytest.raises(ConfigError, match=r"denoiser.loop.nodes: got 2, but this is no SLURM job; set it to 1"):
        check_processes(replace(TWO, nodes=2), CPU, "denoiser.loop")
    with pytest.raises(ConfigError, match=r"denoiser.loop.batch_size: got 8, needs a multiple .*, which is 3"):
        check_processes(replace(TWO, devices=3), CPU, "denoiser.loop")
