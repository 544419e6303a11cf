"""The benchmark on real videos: occlude part of each face, reconstruct it by every method, compare."""
