"""A benchmark folder of drawn scenes, laid out as one of your own would be.

python docs/draw_folder.py runs/my_pictures

It holds `images/`, `annotations/` (label maps: a class index a pixel) and `classes.txt` (the class
names by index). The scenes are the first of MiniStuff's report split.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lsmseg_model.data.ministuff.scenes import CLASSES, draw

CLASS_COUNT = 171  # of coco-stuff, whose indices the scenes have
UNLABELLED = 255


def draw_folder(folder: Path, pictures: int) -> None:
    """Write so many scenes, with the label maps in the order of `classes.txt`."""
    place = np.full(CLASS_COUNT + 1, UNLABELLED, np.uint8)  # the last is that of IGNORE, -1
    for line, (index, _, _) in enumerate(CLASSES):
        place[index] = line
    for part in ("images", "annotations"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for number in range(pictures):
        scene = draw("report", number)
        Image.fromarray(scene.image).save(folder / f"images/{number:03}.png")
        Image.fromarray(place[scene.labels]).save(folder / f"annotations/{number:03}.png")
    names = "".join(f"{name}\n" for _, name, _ in CLASSES)
    (folder / "classes.txt").write_text(names, "utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line of this module; returns the exit code."""
    parser = argparse.ArgumentParser(prog="docs/draw_folder.py", description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, help="where to write")
    parser.add_argument("--pictures", type=int, default=60, help="how many")
    options = parser.parse_args(arguments)
    draw_folder(options.folder, options.pictures)
    print(options.folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
