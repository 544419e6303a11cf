"""Keep a trained motion prior that the configuration names."""

from pathlib import Path

from occlufacediff.workflow.job_log import logged

with logged(snakemake):
    from occlufacediff.config.section import from_params
    from occlufacediff.config.training import DenoiserSettings
    from occlufacediff.stages.keep_prior import keep_motion_prior

    keep_motion_prior(
        Path(snakemake.input.motion_prior[0]).parent,
        Path(snakemake.input.head),
        Path(snakemake.output.model).parent,
        initial=Path(snakemake.input.initial[0]).parent.parent if snakemake.input.initial else None,
        settings=from_params(DenoiserSettings, snakemake.params.settings),
    )
