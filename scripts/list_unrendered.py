"""List the clips of all shards for training."""

from pathlib import Path

from occlufacediff.stages.logs import logged

with logged(snakemake):
    from occlufacediff.config.open_weights import UnrenderedSettings
    from occlufacediff.config.section import from_params
    from occlufacediff.stages.unrendered import list_unrendered

    list_unrendered(
        [Path(path) for path in snakemake.input.shards],
        Path(snakemake.output.manifest),
        settings=from_params(UnrenderedSettings, snakemake.params.settings),
    )
