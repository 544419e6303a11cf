"""Renders meshes to images and draws the panels of animations."""
