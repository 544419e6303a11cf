"""Links the stages to Snakemake: shards, chunks, Dask workers, job logs, code fingerprints, input checks."""
