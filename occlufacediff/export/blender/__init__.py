"""Scripts that run in Blender, not in this program; `export.in_blender` starts them."""
