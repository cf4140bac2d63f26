"""What CAA's affinity says of a position, beside the features' own cosines and the labels.

python docs/draw_affinity.py docs/caa_affinity.png            # half a minute on one core
python docs/draw_affinity.py picture.png --small              # only to see that it runs

CAA learns on frozen features as in benchmarks/closed_set.py. The pictures are the first of the
report split; the position is the middle of the smallest class that has five positions or more.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))

from closed_set import SEEN, Pictures, pictures, train
from matplotlib.figure import Figure

from lsmseg_model.data.benchmark import MiniStuff
from lsmseg_model.files import write_whole
from lsmseg_model.networks.closed_set.caa import same_class

TITLES = ("the position", "cosine of the features", "CAA's affinity", "same class by the labels")
LEAST = 5  # positions of a class that is shown


def chosen(grid: Tensor) -> int | None:
    """The position, counted row by row, that a picture is asked about."""
    values, counts = grid[grid >= 0].unique(return_counts=True)
    enough = [(int(n), int(v)) for v, n in zip(values, counts, strict=True) if n >= LEAST]
    if not enough:
        return None
    places = np.argwhere(grid.numpy() == min(enough)[1])
    nearest = np.abs(places - places.mean(axis=0)).sum(axis=1).argmin()
    return int(places[nearest] @ (grid.shape[1], 1))


@torch.inference_mode()
def maps(network: torch.nn.Module, data: Pictures, at: int, position: int) -> list[np.ndarray]:
    """Cosine, affinity and labels of a position with all others, [h, w] each."""
    features, grid = data.features[at : at + 1], data.grid[at]
    each = F.normalize(features[0].flatten(1), dim=0)
    affinity = network.addon.affinity(features)[0].sigmoid()  # type: ignore[operator, union-attr]
    rows = (each.T @ each)[position], affinity[position], same_class(grid[None])[0][0, position]
    return [row.reshape(grid.shape).numpy() for row in rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("picture", type=Path)
    parser.add_argument("--small", action="store_true")
    arguments = parser.parse_args()
    run = argparse.Namespace(
        reduce=128, lr=5e-3, steps=2 if arguments.small else 250, batch=8, size=32
    )
    data = pictures("train", range(8 if arguments.small else 300))
    test, scenes = pictures("report", range(16)), MiniStuff("report", 16)
    network = train("caa", 0, data, run)
    asked = [(at, p) for at in range(16) if (p := chosen(test.grid[at])) is not None][:4]
    figure = Figure(figsize=(8, 2.1 * len(asked)), layout="constrained")
    for row, (at, position) in zip(figure.subplots(len(asked), 4), asked, strict=True):
        shown = [scenes.picture(at), *maps(network, test, at, position)]
        y, x = divmod(position, test.grid.shape[2])
        name = SEEN[int(test.grid[at, y, x])][1]
        for axes, image, title in zip(row, shown, TITLES, strict=True):
            side = 1 if image.ndim == 3 else image.shape[0]
            scale = {} if image.ndim == 3 else {"vmin": 0, "vmax": 1, "cmap": "viridis"}
            axes.imshow(image, extent=(0, 1, 1, 0), **scale)
            mark = (x + 0.5) / test.grid.shape[2], (y + 0.5) / test.grid.shape[1]
            axes.plot(*mark, "o", markersize=5, color="none", markeredgecolor="red")
            axes.set(xticks=[], yticks=[])
            if at == asked[0][0]:
                axes.set_title(title, fontsize=9)
            if side == 1:
                axes.set_ylabel(name, fontsize=9)
    write_whole(arguments.picture, lambda temporary: figure.savefig(temporary, dpi=110))


if __name__ == "__main__":
    main()
