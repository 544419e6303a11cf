# Image with the command and the workflow, from requirements.lock.
# NOT BUILT YET: no Docker was available when it was written.
#   docker build --tag occlufacediff .
#   docker run --rm --volume "$PWD:/data" occlufacediff predict /data/talk.mp4 --out /data/predictions
# The workflow, with results in /data:
#   docker run --rm --volume "$PWD:/data" --entrypoint snakemake occlufacediff \
#     --snakefile /opt/occlufacediff/Snakefile --directory /data --cores 4
FROM python:3.11-slim-bookworm

# Mesa's software OpenGL renders the animation; PortAudio is loaded by a dependency of MediaPipe.
RUN apt-get update \
 && apt-get install --yes --no-install-recommends git libgl1 libegl1 libgl1-mesa-dri libglib2.0-0 libportaudio2 make \
 && rm -rf /var/lib/apt/lists/*

WORKDIR /opt/occlufacediff
COPY pyproject.toml requirements.lock Makefile README.md LICENSE Snakefile ./
COPY occlufacediff occlufacediff
COPY config config
COPY profiles profiles
COPY report report
COPY rules rules
COPY scripts scripts
COPY envs envs
RUN make install && .venv/bin/uv cache clean

ENV PATH=/opt/occlufacediff/.venv/bin:$PATH \
    XDG_CACHE_HOME=/tmp/cache
WORKDIR /data
ENTRYPOINT ["occlufacediff"]
CMD ["--help"]
