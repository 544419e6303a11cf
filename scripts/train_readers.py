"""Train the viseme reader and the emotion reader."""

from pathlib import Path

from occlufacediff.workflow.job_log import logged

with logged(snakemake):
    from occlufacediff.config.readers import ReaderSettings
    from occlufacediff.config.section import from_params
    from occlufacediff.config.synthetic import SyntheticSettings
    from occlufacediff.stages.reader_weights import make_readers

    make_readers(
        Path(snakemake.input.head),
        [Path(path) for path in snakemake.input.coefficients],
        [Path(path) for path in snakemake.input.held_out],
        Path(snakemake.output.model),
        Path(snakemake.output.card),
        settings=from_params(ReaderSettings, snakemake.params.settings),
        synthetic=from_params(SyntheticSettings, snakemake.params.synthetic),
        seed=snakemake.params.seed,
    )
