"""Train the motion prior."""

from pathlib import Path

from occlufacediff.workflow.job_log import logged

with logged(snakemake):
    from occlufacediff.config.section import from_params
    from occlufacediff.config.training import MotionPriorSettings
    from occlufacediff.models.provenance import TrainingOrigin
    from occlufacediff.stages.train import train_motion_prior

    train_motion_prior(
        Path(snakemake.input.manifest),
        [Path(path) for path in snakemake.input.face],
        Path(snakemake.input.head),
        Path(snakemake.output.model).parent,
        settings=from_params(MotionPriorSettings, snakemake.params.settings),
        origin=TrainingOrigin(**snakemake.params.origin),
        seed=snakemake.params.seed,
        device=snakemake.config["device"],
    )
