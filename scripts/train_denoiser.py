"""Train the denoiser."""

from pathlib import Path

from occlufacediff.workflow.job_log import logged

with logged(snakemake):
    from occlufacediff.config.section import from_params
    from occlufacediff.config.training import DenoiserSettings
    from occlufacediff.models.provenance import TrainingOrigin
    from occlufacediff.stages.train import train_denoiser

    train_denoiser(
        Path(snakemake.input.manifest),
        [Path(path) for path in snakemake.input.face],
        [Path(path) for path in snakemake.input.audio],
        Path(snakemake.input.head),
        Path(snakemake.input.motion_prior[0]).parent,
        Path(snakemake.output.model).parent,
        settings=from_params(DenoiserSettings, snakemake.params.settings),
        origin=TrainingOrigin(**snakemake.params.origin),
        seed=snakemake.params.seed,
        device=snakemake.config["device"],
        initial=Path(snakemake.input.initial[0]).parent.parent if snakemake.input.initial else None,
    )
