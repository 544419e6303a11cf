"""Pack the open weights and write their model card."""

from pathlib import Path

from occlufacediff.workflow.job_log import logged

with logged(snakemake):
    from occlufacediff.config.open_weights import OpenWeightsSettings
    from occlufacediff.config.section import from_params
    from occlufacediff.stages.open_weights import pack_open_weights

    figures = [Path(path) for path in snakemake.input.figures]
    pack_open_weights(
        Path(snakemake.input.motion_prior[0]).parent,
        Path(snakemake.input.denoiser[0]).parent,
        Path(snakemake.input.head),
        Path(snakemake.input.held_out),
        Path(snakemake.output.card).parent,
        settings=from_params(OpenWeightsSettings, snakemake.params.settings),
        seed=snakemake.params.seed,
        figures=figures[0] if figures else None,
    )
