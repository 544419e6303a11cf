"""Occlusion: simulated (kinds, spans, occluder images, training masks) and real (mask files, segmentation)."""
