"""Settings of a run: one training with its evaluation and report."""

from __future__ import annotations

from dataclasses import dataclass

from occlufacediff.config.constraints import Name, Section, Seed


@dataclass(frozen=True)
class RunSettings(Section):
    """The run to train and evaluate; all runs share the data set's preprocessing."""

    #: Name of the run; its models, evaluation and report go to ``results/<dataset>/runs/<name>/``.
    name: Name = "main"
    #: Seed of training and evaluation; null: the global ``seed``.
    seed: Seed | None = None
    #: Checkpoint to fine-tune: a folder with ``motion_prior/`` and ``denoiser/``, or ``open`` for the open weights. The
    #: motion prior is kept and the denoiser's training starts from these weights; null: train both networks from
    #: random weights.
    init_from: str | None = None
    #: Trained motion prior to use instead of training one: a folder with ``model.safetensors`` and ``config.yaml``,
    #: such as the converted FLINT. Only the denoiser is trained; null: train the motion prior too.
    motion_prior: str | None = None
