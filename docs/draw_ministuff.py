"""A contact sheet of MiniStuff: scenes with their label maps, and the names of classes in them.

python docs/draw_ministuff.py docs/ministuff.png

The scenes are the first of the split, not chosen ones; pictures and label maps are shown pixel by
pixel, enlarged. Label colours are those of reports. Below stand the names that fit into no region.
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
from lsmseg_model.data.region_names import RegionName, ink, region_names
from lsmseg_model.errors import LsmsegModelError, UsageError
from lsmseg_model.files import write_whole

SCALE = 3
GAP, LINE, SWATCH, FONT = 24, 30, 20, 22  # pixels
LETTERS = 13, 26  # pixels of the smallest and the largest names in a label map
COLOURS = np.zeros((1 + max(index for index, _, _ in CLASSES), 3), np.uint8)
COLOURS[[index for index, _, _ in CLASSES]] = palette([name for _, name, _ in CLASSES])


def class_names(scene: Scene) -> list[tuple[int, str]]:
    """(class index, name) of the classes that a scene shows, the largest first."""
    names = {i: name if seen else f"{name} *" for i, name, seen in CLASSES}
    found, pixels = np.unique(scene.labels[scene.labels != IGNORE], return_counts=True)
    order = np.argsort(-pixels, kind="stable")
    return [(int(found[i]), names[int(found[i])]) for i in order]


def cell_origin(number: int, columns: int) -> tuple[int, int]:
    """(x, y) of the top left pixel of a scene's picture on the sheet."""
    width = 2 * SIDE * SCALE + GAP
    height = SIDE * SCALE + LINE + GAP
    return GAP + number % columns * width, GAP + number // columns * height


def contact_sheet(split: str = "report", columns: int = 3, rows: int = 8) -> Image.Image:
    """The first ``columns * rows`` scenes of a split; unseen classes are marked with a star."""
    if split not in SPLITS:
        raise UsageError(f"MiniStuff has no split {split!r}; choose one of {', '.join(SPLITS)}.")
    if columns < 1 or rows < 1:
        raise UsageError("A contact sheet needs at least one column and one row.")
    right, bottom = cell_origin(columns * rows - 1, columns)
    sheet = Image.new(
        "RGB",
        (right + 2 * SIDE * SCALE + GAP, bottom + SIDE * SCALE + LINE + GAP // 2),
        "white",
    )
    for number in range(columns * rows):
        _cell(sheet, draw(split, number), cell_origin(number, columns))
    return sheet


def _cell(sheet: Image.Image, scene: Scene, origin: tuple[int, int]) -> None:
    """Picture, label map with names beside it, and the other names below, in place."""
    pen = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=FONT)
    left, top = origin
    side = SIDE * SCALE
    for place, pixels in enumerate((scene.image, colour(scene.labels, COLOURS))):
        tile = Image.fromarray(pixels).resize((side, side), Image.Resampling.NEAREST)
        sheet.paste(tile, (left + place * side, top))
    names = dict(class_names(scene))
    sizes = LETTERS[0] / SCALE, LETTERS[1] / SCALE
    unbroken = {index: name.replace(" *", "*") for index, name in names.items()}
    written = region_names(scene.labels, unbroken, lambda text: font.getlength(text) / FONT, sizes)
    for one in written:
        _write(sheet, one, (left + side, top))
    x, y = left, top + side + LINE // 2 + 2
    for index in names.keys() - {one.class_index for one in written}:
        box = (x, y - SWATCH // 2, x + SWATCH, y + SWATCH // 2)
        pen.rectangle(box, fill=tuple(COLOURS[index].tolist()))
        pen.text((x + SWATCH + 8, y), names[index], fill="black", font=font, anchor="lm")
        x += SWATCH + 8 + round(font.getlength(names[index])) + GAP


def _write(sheet: Image.Image, name: RegionName, corner: tuple[int, int]) -> None:
    """A name into the label map whose top left corner is given."""
    letters, halo = ink(COLOURS[name.class_index])
    size = name.size * SCALE
    font, stroke = ImageFont.load_default(size=size), max(1, round(size / 14))
    like = {"font": font, "spacing": 0, "align": "center", "stroke_width": stroke}
    pen = ImageDraw.Draw(sheet)
    x0, y0, x1, y1 = pen.multiline_textbbox((0, 0), name.text, **like)
    tile = Image.new("RGBA", (int(x1 - x0) + 2, int(y1 - y0) + 2))
    ImageDraw.Draw(tile).multiline_text(
        (1 - x0, 1 - y0), name.text, fill=letters, stroke_fill=halo, **like
    )
    if name.upright:
        tile = tile.transpose(Image.Transpose.ROTATE_90)
    middle = corner[0] + name.x * SCALE, corner[1] + name.y * SCALE
    sheet.paste(tile, tuple(round(m - s / 2) for m, s in zip(middle, tile.size, strict=True)), tile)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line of this module; returns the exit code."""
    parser = argparse.ArgumentParser(prog="docs/draw_ministuff.py")
    parser.add_argument("output", type=Path, help="the PNG file to write")
    parser.add_argument("--split", default="report", help="train, selection or report")
    parser.add_argument("--columns", type=int, default=3, help="scenes side by side")
    parser.add_argument("--rows", type=int, default=8, help="rows of scenes")
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
