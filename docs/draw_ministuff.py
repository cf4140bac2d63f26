"""A contact sheet of MiniStuff: scenes with their label maps, and the name of every class.

python docs/draw_ministuff.py docs/ministuff.png

The scenes are the first of the split, not chosen ones; pictures and label maps are shown pixel by
pixel, enlarged. Label colours are those of reports and overlays of the coco-stuff vocabulary.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lsmseg_model.data.ministuff.scenes import CLASSES, IGNORE, SIDE, SPLITS, Scene, draw
from lsmseg_model.data.palette import colour, palette
from lsmseg_model.errors import LsmsegModelError, UsageError
from lsmseg_model.files import write_whole

CLASS_COUNT = 171  # of coco-stuff, whose indices the labels are
SCALE = 2
GAP, LINE, SWATCH, FONT = 24, 30, 20, 22  # pixels
NAME_ROWS, NAME_COLUMNS = 4, 2


def class_names(scene: Scene) -> list[tuple[int, str]]:
    """(class index, name) of the classes that a scene shows, the largest first."""
    names = {i: name if seen else f"{name} *" for i, name, seen in CLASSES}
    found, pixels = np.unique(scene.labels[scene.labels != IGNORE], return_counts=True)
    order = np.argsort(-pixels, kind="stable")
    return [(int(found[i]), names[int(found[i])]) for i in order]


def cell_origin(number: int, columns: int) -> tuple[int, int]:
    """(x, y) of the top left pixel of a scene's picture on the sheet."""
    width = 2 * SIDE * SCALE + GAP
    height = SIDE * SCALE + NAME_ROWS * LINE + GAP
    return GAP + number % columns * width, GAP + number // columns * height


def contact_sheet(split: str = "report", columns: int = 4, rows: int = 6) -> Image.Image:
    """The first ``columns * rows`` scenes of a split; unseen classes are marked with a star."""
    if split not in SPLITS:
        raise UsageError(f"MiniStuff has no split {split!r}; choose one of {', '.join(SPLITS)}.")
    if columns < 1 or rows < 1:
        raise UsageError("A contact sheet needs at least one column and one row.")
    right, bottom = cell_origin(columns * rows - 1, columns)
    sheet = Image.new(
        "RGB",
        (right + 2 * SIDE * SCALE + GAP, bottom + SIDE * SCALE + NAME_ROWS * LINE + GAP // 2),
        "white",
    )
    for number in range(columns * rows):
        _cell(sheet, draw(split, number), cell_origin(number, columns))
    return sheet


def _cell(sheet: Image.Image, scene: Scene, origin: tuple[int, int]) -> None:
    """Picture, label map beside it and names below, in place."""
    pen = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=FONT)
    left, top = origin
    side = SIDE * SCALE
    for place, pixels in enumerate((scene.image, colour(scene.labels, CLASS_COUNT))):
        tile = Image.fromarray(pixels).resize((side, side), Image.Resampling.NEAREST)
        sheet.paste(tile, (left + place * side, top))
    names = class_names(scene)
    room = NAME_ROWS * NAME_COLUMNS
    if len(names) > room:
        pen.text((left + 2 * side, top + side + 2), f"+{len(names) - room}", "black", font, "ra")
    for place, (index, name) in enumerate(names[:room]):
        x = left + place // NAME_ROWS * side
        y = top + side + place % NAME_ROWS * LINE + LINE // 2 + 2
        box = (x, y - SWATCH // 2, x + SWATCH, y + SWATCH // 2)
        pen.rectangle(box, fill=tuple(palette(CLASS_COUNT)[index].tolist()))
        pen.text((x + SWATCH + 8, y), name, fill="black", font=font, anchor="lm")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line of this module; returns the exit code."""
    parser = argparse.ArgumentParser(prog="docs/draw_ministuff.py")
    parser.add_argument("output", type=Path, help="the PNG file to write")
    parser.add_argument("--split", default="report", help="train, selection or report")
    parser.add_argument("--columns", type=int, default=4, help="scenes side by side")
    parser.add_argument("--rows", type=int, default=6, help="rows of scenes")
    options = parser.parse_args(arguments)
    try:
        sheet = contact_sheet(options.split, options.columns, options.rows)
        write_whole(options.output, lambda path: sheet.save(path, "PNG", optimize=True))
    except LsmsegModelError as error:
        print(f"Error: {error}", file=sys.stderr)
        return error.exit_code
    print(options.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
