"""The synthetic data set: rendered talking heads as archives in MEAD's layout, and landmark clips without images."""
