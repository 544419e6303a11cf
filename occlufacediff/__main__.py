"""``python -m occlufacediff`` is ``occlufacediff``."""

from occlufacediff.cli import main

# Processes started by multiprocessing import this file too.
if __name__ == "__main__":
    main(prog_name="occlufacediff")
