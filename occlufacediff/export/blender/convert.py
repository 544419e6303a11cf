"""Convert an exported .glb file to FBX or Alembic in Blender. `occlufacediff export --blender` runs this script:

blender --background --factory-startup --python convert.py -- MOTION.glb MOTION.fbx 25
"""

import sys
from importlib import import_module

# Blender's own module; it exists in Blender's Python only.
bpy = import_module("bpy")


def set_rate(fps: float) -> None:
    """Set the scene's frames a second, which need not be a whole number."""
    render = bpy.context.scene.render
    render.fps = max(1, round(fps))
    render.fps_base = render.fps / fps


def convert(source: str, target: str, fps: float) -> None:
    """Import a .glb file and export it in the format of the target's suffix, ``.fbx`` or ``.abc``."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    # The importer places key frames by the scene's rate.
    set_rate(fps)
    bpy.ops.import_scene.gltf(filepath=source, disable_bone_shape=True)
    scene = bpy.context.scene
    scene.frame_start = 0
    scene.frame_end = max([round(action.frame_range[1]) for action in bpy.data.actions], default=0)
    if target.endswith(".abc"):
        bpy.ops.wm.alembic_export(
            filepath=target,
            start=scene.frame_start,
            end=scene.frame_end,
            as_background_job=False,
            evaluation_mode="RENDER",
        )
    else:
        bpy.ops.export_scene.fbx(
            filepath=target,
            object_types={"ARMATURE", "MESH", "EMPTY"},
            add_leaf_bones=False,
            bake_anim=True,
            bake_anim_use_all_actions=False,
            bake_anim_use_nla_strips=False,
            bake_anim_simplify_factor=0.0,
        )


if __name__ == "__main__":
    given, wanted, rate = sys.argv[sys.argv.index("--") + 1 :]
    convert(given, wanted, float(rate))
