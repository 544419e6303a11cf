"""Write the tables of an evaluation from the scores of all subjects."""

from pathlib import Path

from occlufacediff.workflow.job_log import logged

with logged(snakemake):
    from occlufacediff.config.evaluation import EvaluationSettings
    from occlufacediff.config.section import from_params
    from occlufacediff.stages.evaluation_tables import Tables, write_tables

    write_tables(
        Path(snakemake.input.manifest),
        [Path(path) for path in snakemake.input.scores],
        [Path(path) for path in snakemake.input.failures],
        Path(snakemake.input.head),
        [Path(path).parent for path in snakemake.input.networks],
        {name: Path(folder) for name, folder in snakemake.params.checkpoints.items()},
        Tables(**{name: Path(path) for name, path in snakemake.output.items()}),
        dataset=snakemake.config["dataset"],
        settings=from_params(EvaluationSettings, snakemake.params.settings),
        occlusion_seed=snakemake.params.occlusion_seed,
        painted=[Path(path) for path in snakemake.input.painted],
    )
