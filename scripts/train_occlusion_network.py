"""Train the occlusion network and write its card."""

from pathlib import Path

from occlufacediff.workflow.job_log import logged

with logged(snakemake):
    from occlufacediff.config.occlusion_weights import OcclusionWeightsSettings
    from occlufacediff.config.section import from_params
    from occlufacediff.stages.occlusion_network import train_occlusion_network

    train_occlusion_network(
        [Path(path) for path in snakemake.input.shards],
        Path(snakemake.output.card).parent,
        settings=from_params(OcclusionWeightsSettings, snakemake.params.settings),
    )
