"""Build the open head model."""

from pathlib import Path

from occlufacediff.workflow.job_log import logged

with logged(snakemake):
    from occlufacediff.config.openhead import OpenHeadSettings
    from occlufacediff.config.section import from_params
    from occlufacediff.openhead.build import build_open_head

    build_open_head(
        Path(snakemake.output.head),
        settings=from_params(OpenHeadSettings, snakemake.params.settings),
        seed=snakemake.params.seed,
    )
