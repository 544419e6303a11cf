"""Draw a shard of clips without pictures."""

from pathlib import Path

from occlufacediff.stages.logs import logged

with logged(snakemake):
    from occlufacediff.config.open_weights import UnrenderedSettings
    from occlufacediff.config.section import from_params
    from occlufacediff.stages.unrendered import draw_shard

    draw_shard(
        snakemake.wildcards.shard,
        Path(snakemake.input.head),
        Path(snakemake.output.clips),
        settings=from_params(UnrenderedSettings, snakemake.params.settings),
        seed=snakemake.params.seed,
    )
