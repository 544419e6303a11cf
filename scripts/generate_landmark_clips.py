"""Draw a shard of clips without pictures."""

from pathlib import Path

from occlufacediff.workflow.job_log import logged

with logged(snakemake):
    from occlufacediff.config.open_weights import LandmarkClipSettings
    from occlufacediff.config.section import from_params
    from occlufacediff.stages.landmark_clips import draw_shard

    draw_shard(
        snakemake.wildcards.shard,
        Path(snakemake.input.head),
        Path(snakemake.output.clips),
        settings=from_params(LandmarkClipSettings, snakemake.params.settings),
        seed=snakemake.params.seed,
    )
