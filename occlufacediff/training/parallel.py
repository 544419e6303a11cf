"""The gradients of one or several processes: Lightning Fabric, DDP, and batch statistics of the whole micro-batch."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce

from occlufacediff.config.loop import LoopSettings
from occlufacediff.errors import AssetError
from occlufacediff.models.dropout import share_dropout
from occlufacediff.training.share import Share
from occlufacediff.training.task import Batch, Losses, Task

if TYPE_CHECKING:
    from lightning_fabric import Fabric
    from lightning_fabric.wrappers import _FabricModule

#: The others wait for the first process while it validates.
TIMEOUT = timedelta(hours=2)


def make_fabric(settings: LoopSettings, device: torch.device) -> Fabric:
    """Lightning Fabric for this process: one device, or its place among several processes.

    Processes that `processes.launch` started have their place in the environment, in the variables of ``torchrun``.

    Args:
        settings: of the loop: number of devices and nodes.
        device: kind of device.

    Raises:
        AssetError: Lightning Fabric is not installed.
    """
    try:
        from lightning_fabric import Fabric
        from lightning_fabric.plugins.environments import LightningEnvironment, TorchElasticEnvironment
        from lightning_fabric.strategies import DDPStrategy
    except ImportError as error:
        raise AssetError(
            f"training needs Lightning Fabric ({error}); install it: pip install 'lightning-fabric>=2.6,<3'"
        ) from error
    if not launched():
        # A GPU keeps its number: torch's current device.
        devices: Any = [device.index or 0] if device.type == "cuda" else 1
        # Without this, Fabric would take the tasks of a SLURM job for its own.
        return Fabric(accelerator=device.type, devices=devices, plugins=LightningEnvironment())
    strategy = DDPStrategy(
        cluster_environment=TorchElasticEnvironment(),
        timeout=TIMEOUT,
        # Frozen parts and layer drop leave weights without a gradient; they differ between micro-batches.
        find_unused_parameters=True,
        # Buffers are equal on all processes, see `share_batch_statistics`.
        broadcast_buffers=False,
    )
    fabric = Fabric(accelerator=device.type, devices=settings.devices, num_nodes=settings.nodes, strategy=strategy)
    fabric.launch()
    return fabric


def launched() -> bool:
    """Whether this process is one of several that train together."""
    return "TORCHELASTIC_RUN_ID" in os.environ


@contextmanager
def product_precision(settings: LoopSettings) -> Iterator[None]:
    """Context in which a GPU's float32 products are TF32 (``tf32``, ``bf16``) or not (``float32``)."""
    products, convolutions = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    low = settings.precision != "float32"
    torch.set_float32_matmul_precision("high" if settings.precision == "tf32" else "highest")
    torch.backends.cudnn.allow_tf32 = low
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(products)
        torch.backends.cudnn.allow_tf32 = convolutions


class _TaskLosses(nn.Module):
    """The losses of a task as the forward pass of a module, which is what DDP wraps."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.model = task.model
        self._losses = task.losses

    def forward(self, batch: Batch) -> Losses:
        terms = self._losses(batch)
        # DDP expects gradients of all weights behind its outputs, so only the loss stays attached.
        return {name: value if name == "loss" else value.detach() for name, value in terms.items()}


class ParallelTask:
    """Forward and backward passes of a task, with gradients averaged over all processes.

    A task may freeze and unfreeze parts between micro-batches. DDP fixes its list of weights when it wraps a network,
    so the network is wrapped again at such a change. Compiled code does not check which weights are frozen, so a
    compiled network is compiled again too.

    Args:
        task: what is trained.
        fabric: of this process.
        share: which rows of each micro-batch this process trains on.
        compiled: whether the network was compiled by torch.
    """

    def __init__(self, task: Task, fabric: Fabric, share: Share, *, compiled: bool = False) -> None:
        self.task, self.fabric, self.share, self.compiled = task, fabric, share, compiled
        self._module: _FabricModule | None = None
        self._trained: tuple[bool, ...] = ()
        self._local = False
        if share.processes > 1:
            share_batch_statistics(task.model)
            share_dropout(task.model, (share.process, share.processes))

    def backward(self, batch: Batch, *, accumulate: int, last: bool) -> Losses:
        """Add a micro-batch's part to the gradients; terms are those of this process' rows, detached.

        Args:
            batch: rows of this process.
            accumulate: micro-batches of the optimizer step.
            last: the step's last micro-batch; after it the gradients are those of all processes.
        """
        module = self._wrapped()
        apart = self.share.processes > 1 and not last
        with self.fabric.no_backward_sync(module) if apart else nullcontext():
            terms = module(batch)
            self.fabric.backward(terms["loss"] / accumulate)
        self._local = apart
        return {name: value.detach() for name, value in terms.items()}

    def mean(self, values: Tensor) -> Tensor:
        """Mean of a tensor over the processes."""
        if self.share.processes > 1:
            torch.distributed.all_reduce(values)
            values = values / self.share.processes
        return values

    def from_first(self, value: Any) -> Any:
        """The value of the first process, on all processes."""
        return self.fabric.broadcast(value) if self.share.processes > 1 else value

    def _wrapped(self) -> _FabricModule:
        trained = tuple(weight.requires_grad for weight in self.task.model.parameters())
        if self.compiled and self._module is not None and trained != self._trained:
            torch.compiler.reset()
        if self._module is not None and (trained == self._trained or self.share.processes == 1):
            self._trained = trained
            return self._module
        if self._local:
            # Gradients of earlier micro-batches of this step: the new wrapper does not know weights that freeze now.
            for weight in self.task.model.parameters():
                if weight.grad is not None:
                    weight.grad = self.mean(weight.grad)
            self._local = False
        if self._module is not None:
            # An old wrapper's hooks stay on the weights until it is gone.
            self._module = None
            gc.collect()
        self._module = self.fabric.setup_module(_TaskLosses(self.task), move_to_device=False)
        self._trained = trained
        return self._module


class SharedBatchNorm1d(nn.BatchNorm1d):
    """BatchNorm whose statistics in training are those of the rows of all processes (torch's needs GPUs)."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (B, C, T) or (B, C)."""
        if not self.training or Share.current().processes == 1:
            return super().forward(x)
        return self._with_all_rows(x)

    @torch.compiler.disable
    def _with_all_rows(self, x: Tensor) -> Tensor:
        """Normalise by the rows of all processes; torch.compile would lose the gradients of the others' sums."""
        axes = [0] if x.ndim == 2 else [0, 2]
        shape = [1, -1] if x.ndim == 2 else [1, -1, 1]
        processes = Share.current().processes
        values = x.float()
        mean = all_reduce(values.mean(axes)) / processes
        centred = values - mean.view(shape)
        variance = all_reduce(centred.square().mean(axes)) / processes
        count = x.numel() / x.shape[1] * processes
        if self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None:
            with torch.no_grad():
                self.num_batches_tracked.add_(1)
                part = self.momentum if self.momentum is not None else 1 / float(self.num_batches_tracked)
                self.running_mean.lerp_(mean.detach(), part)
                self.running_var.lerp_(variance.detach() * count / (count - 1), part)
        result = centred * (variance + self.eps).rsqrt().view(shape)
        if self.affine:
            result = result * self.weight.view(shape) + self.bias.view(shape)
        return result.to(x.dtype)


def share_batch_statistics(model: nn.Module) -> None:
    """Let every BatchNorm of a network use the statistics of all processes; names of weights stay as they are."""
    for module in model.modules():
        if type(module) is nn.BatchNorm1d:
            module.__class__ = SharedBatchNorm1d


def kept_statistics(model: nn.Module) -> list[tuple[Tensor, Tensor]]:
    """Each running statistic of the BatchNorms, with a copy of its value: a batch that is not finite spoils them."""
    norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    buffers = [buffer for module in norms for buffer in module.buffers(recurse=False)]
    return [(buffer, buffer.clone()) for buffer in buffers]
