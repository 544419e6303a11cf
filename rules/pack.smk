# Phones of each subject's clips, only for networks that use them, and flat files from which trainings read
# windows (docs/decisions/020-packed-training-set.md).
PACKED = f"{RESULTS}/packed"


rule recognise_phones:
    input:
        audio=f"{RESULTS}/audio/{{subject}}.h5",
        chunks=of_chunks(f"{RESULTS}/phones/{{subject}}.h5", f"{RESULTS}/phones/{{subject}}.csv"),
    output:
        phones=f"{RESULTS}/phones/{{subject}}.h5",
        index=f"{RESULTS}/phones/{{subject}}.csv",
    log:
        f"{LOGS}/recognise_phones/{{subject}}.log",
    benchmark:
        f"{LOGS}/recognise_phones/{{subject}}.tsv"
    threads: shard_threads()
    resources:
        mem_mb=scaled_by_attempt(500, each=400),
        runtime=240,
    params:
        code=fingerprint("occlufacediff.stages.phones"),
    message:
        "{wildcards.subject}: phones"
    conda:
        "../envs/preprocess.yaml"
    script:
        "../scripts/recognise_phones.py"


rule pack_face:
    input:
        coefficients=f"{RESULTS}/coefficients/{{subject}}.h5",
        clips=f"{RESULTS}/clips/{{subject}}.h5",
    output:
        face=f"{PACKED}/face/{{subject}}.h5",
    log:
        f"{LOGS}/pack_face/{{subject}}.log",
    benchmark:
        f"{LOGS}/pack_face/{{subject}}.tsv"
    threads: 1
    resources:
        mem_mb=scaled_by_attempt(500),
        runtime=60,
    params:
        precision=cfg.packing.precision,
        code=fingerprint("occlufacediff.stages.pack"),
    message:
        "{wildcards.subject}: pack coefficients and landmarks"
    conda:
        "../envs/preprocess.yaml"
    script:
        "../scripts/pack_face.py"


rule pack_audio:
    input:
        face=f"{PACKED}/face/{{subject}}.h5",
        audio=f"{RESULTS}/audio/{{subject}}.h5",
        phones=lambda wildcards: f"{RESULTS}/phones/{wildcards.subject}.h5" if wildcards.kind == "speech" else [],
    output:
        audio=f"{PACKED}/{{kind}}/{{subject}}.h5",
    log:
        f"{LOGS}/pack_audio/{{kind}}/{{subject}}.log",
    benchmark:
        f"{LOGS}/pack_audio/{{kind}}/{{subject}}.tsv"
    wildcard_constraints:
        kind="log_mel|speech|waveform",
    threads: 1
    resources:
        mem_mb=scaled_by_attempt(500),
        runtime=60,
    params:
        precision=cfg.packing.precision,
        code=fingerprint("occlufacediff.stages.pack"),
    message:
        "{wildcards.subject}: pack audio ({wildcards.kind})"
    conda:
        "../envs/preprocess.yaml"
    script:
        "../scripts/pack_audio.py"


if cfg.chunks > 1:

    use rule recognise_phones as recognise_phones_chunk with:
        output:
            **chunk_markers(phones=f"{RESULTS}/phones/{{subject}}.h5", index=f"{RESULTS}/phones/{{subject}}.csv"),
        log:
            f"{LOGS}/recognise_phones_chunk/{{subject}}/{{chunk}}.log",
        benchmark:
            f"{LOGS}/recognise_phones_chunk/{{subject}}/{{chunk}}.tsv"
