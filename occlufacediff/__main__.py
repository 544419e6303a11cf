"""``python -m occlufacediff`` is ``occlufacediff``."""

from occlufacediff.cli import main

# A process that is started afresh imports this file too.
if __name__ == "__main__":
    main(prog_name="occlufacediff")
