"""Visibility found by itself: which pixels of a crop show the face, and which something else."""
