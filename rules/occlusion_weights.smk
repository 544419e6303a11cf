# The network that finds occlusions, from seeds alone: snakemake occlusion_weights. It depends on no data set.
OCCLUSION_WEIGHTS = "results/occlusion_weights"
OCCLUSION_SHARDS = [f"shard_{number:02d}" for number in range(cfg.occlusion_weights.pictures.shards)]


rule draw_occlusion_pictures:
    input:
        head=OPEN_HEAD,
    output:
        pictures=rf"{OCCLUSION_WEIGHTS}/shards/{{shard,shard_\d+}}.h5",
    log:
        f"{LOGS}/draw_occlusion_pictures/{{shard}}.log",
    benchmark:
        f"{LOGS}/draw_occlusion_pictures/{{shard}}.tsv"
    threads: 1
    resources:
        mem_mb=scaled_by_attempt(1500),
        runtime=scaled_by_attempt(60),
    params:
        settings=as_params(cfg.occlusion_weights.pictures),
        seed=cfg.occlusion_weights.seed,
        code=fingerprint("occlufacediff.stages.occlusion_pictures"),
    message:
        "{wildcards.shard}: draw faces under occluders"
    conda:
        "../envs/synthetic.yaml"
    script:
        "../scripts/draw_occlusion_pictures.py"


rule train_occlusion_network:
    input:
        shards=expand(f"{OCCLUSION_WEIGHTS}/shards/{{shard}}.h5", shard=OCCLUSION_SHARDS),
    output:
        weights=f"{OCCLUSION_WEIGHTS}/weights/model.safetensors",
        card=f"{OCCLUSION_WEIGHTS}/weights/MODEL_CARD.md",
    log:
        f"{LOGS}/train_occlusion_network.log",
    benchmark:
        f"{LOGS}/train_occlusion_network.tsv"
    threads: cores(2)
    resources:
        mem_mb=scaled_by_attempt(4000),
        runtime=scaled_by_attempt(240),
    params:
        settings=as_params(cfg.occlusion_weights),
        code=fingerprint("occlufacediff.stages.occlusion_network"),
    message:
        "Train the network that finds occlusions"
    conda:
        "../envs/report.yaml"
    script:
        "../scripts/train_occlusion_network.py"
