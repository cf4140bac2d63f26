"""A benchmark folder of drawn scenes, laid out as one of your own would be.

python docs/draw_folder.py runs/my_pictures

It holds `images/`, `annotations/` (label maps: a class index a pixel) and `classes.txt` (the class
names by index). The scenes are the first of MiniStuff's report split. With `--classes FILE` only
the classes of your own list are labelled, in its order; a name may be written as in COCO-Stuff
(wall-brick) or as people say it (brick wall).
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lsmseg_model.data.ministuff.scenes import CLASSES, draw
from lsmseg_prompts import load_vocabulary

CLASS_COUNT = 171  # of coco-stuff, whose indices the scenes have
UNLABELLED = 255


def draw_folder(folder: Path, pictures: int, names: Sequence[str] | None = None) -> None:
    """Write so many scenes, with the label maps in the order of `classes.txt`.

    Raises ValueError for a name that the scenes do not have.
    """
    known = {name: index for index, name, _ in CLASSES}
    words = load_vocabulary("coco-stuff").classes
    readable = {words[index].readable: index for index in known.values()}
    names = list(known) if names is None else names
    place = np.full(CLASS_COUNT + 1, UNLABELLED, np.uint8)  # the last is that of IGNORE, -1
    for line, name in enumerate(names):
        if name not in known and name not in readable:
            raise ValueError(f"no scene shows {name!r}: choose of {', '.join(sorted(readable))}")
        place[known.get(name, readable.get(name))] = line
    for part in ("images", "annotations"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for number in range(pictures):
        scene = draw("report", number)
        Image.fromarray(scene.image).save(folder / f"images/{number:03}.png")
        Image.fromarray(place[scene.labels]).save(folder / f"annotations/{number:03}.png")
    (folder / "classes.txt").write_text("".join(f"{name}\n" for name in names), "utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line of this module; returns the exit code."""
    parser = argparse.ArgumentParser(prog="docs/draw_folder.py", description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, help="where to write")
    parser.add_argument("--pictures", type=int, default=60, help="how many")
    parser.add_argument("--classes", type=Path, help="your own list, a name a line")
    options = parser.parse_args(arguments)
    names = options.classes.read_text("utf-8").splitlines() if options.classes else None
    try:
        draw_folder(options.folder, options.pictures, names)
    except ValueError as error:
        parser.error(str(error))
    print(options.folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
