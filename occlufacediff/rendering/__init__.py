"""From meshes to pictures and animations."""
