"""Reads the clips of a data set for training, evaluation and prediction."""
