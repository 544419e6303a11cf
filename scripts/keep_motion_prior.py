"""Keep the motion prior of the checkpoint that a run starts from."""

from pathlib import Path

from occlufacediff.workflow.job_log import logged

with logged(snakemake):
    from occlufacediff.config.section import from_params
    from occlufacediff.config.training import DenoiserSettings
    from occlufacediff.stages.keep_prior import keep_motion_prior

    keep_motion_prior(
        Path(snakemake.input.checkpoint[0]).parent.parent,
        Path(snakemake.input.head),
        Path(snakemake.output.model).parent,
        settings=from_params(DenoiserSettings, snakemake.params.settings),
    )
