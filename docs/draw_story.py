"""The story in three pictures of MiniStuff: the name, the best attribute, the best combination.

python docs/draw_story.py docs/story.png [RUN]

RUN is the folder of a `lsmseg-prompts run` on MiniStuff; without one it is made anew, unrefined.
The pictures are those that its report chooses: where the best combination gains most over the name
on classes that training never saw. What those gain there is printed.
"""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ablations.report.overview import called
from ablations.report.pictures import PictureView, choose_pictures, coverage, gains
from ablations.report.run_file import read_run
from ablations.runs.ablate import run
from ablations.runs.request import AblationRequest
from ablations.scoring.frozen import FrozenScorer
from ablations.search.scoreboard import NAME, Bench, Candidate, Scoreboard
from lsmseg_model.data import load_benchmark
from lsmseg_model.errors import LsmsegModelError
from lsmseg_model.networks.backbones.load import load_backbone
from lsmseg_prompts.descriptions.loading import load
from lsmseg_prompts.errors import LsmsegPromptsError
from lsmseg_prompts.vocabularies import load_vocabulary

PICTURES = 3
SMALL: dict[str, Any] = {"attributes": ["color", "texture"], "limit": 20, "samples": 200}


def draw_story(record: Mapping[str, Any], folder: Path) -> tuple[Path, list[str]]:
    """Draw into a folder what a run's record tells; also what the unseen classes gain there."""
    request, vocabulary = record["request"], load_vocabulary("coco-stuff")
    benchmark = load_benchmark("ministuff", split="report", limit=request["limit"])
    scorer = FrozenScorer(load_backbone(pretrained=request["pretrained"]), benchmark)
    bench = Bench("ministuff", vocabulary, load(vocabulary), {"report": scorer})
    combination = (record["refinement"] or {}).get("start") or record["best"]["prompts"]
    titles = {
        NAME: "name",
        Candidate.named(record["best"]["best_single"]): "one attribute: {}",
        Candidate.named(combination): called(combination),
    }
    board = Scoreboard([bench])
    sets = [
        replace(board.prompt_set(bench, one), name=title.format(one.name))
        for one, title in titles.items()
    ]
    before, after = scorer.score([sets[0], sets[-1]])
    gain = gains(before, after, coverage(benchmark))
    seen, readable = benchmark.seen or (), [entry.readable for entry in vocabulary]
    unseen = [index not in seen for index in benchmark.class_indices]
    shown = [picture for some in choose_pictures(gain, unseen, PICTURES) for picture in some]
    path = PictureView(scorer, sets, readable).segmentations(shown, folder / "story.png")
    told = [
        f"{benchmark.key(picture)}: {readable[index]} {100 * gain[picture, at]:+.1f} points of IoU"
        for picture in shown
        for at, index in enumerate(benchmark.class_indices)
        if unseen[at] and gain[picture, at]
    ]
    return path, told


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line of this module; returns the exit code."""
    parser = argparse.ArgumentParser(prog="docs/draw_story.py", description=__doc__.split("\n")[0])
    parser.add_argument("output", type=Path, help="the PNG file to write")
    parser.add_argument("run", type=Path, nargs="?", help="the folder of a run on MiniStuff")
    parser.add_argument("--small", action="store_true", help="only to see that it runs")
    options = parser.parse_args(arguments)
    try:
        with tempfile.TemporaryDirectory() as name:
            folder, more = options.run or Path(name, "run"), SMALL if options.small else {}
            if options.run is None:
                own = AblationRequest(out=folder, store=str(Path(name, "store.sqlite")), **more)
                run(own, refine=False)
            path, told = draw_story(read_run(folder), Path(name))
            shutil.copy(path, options.output)
    except (LsmsegModelError, LsmsegPromptsError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return error.exit_code
    print("\n".join([*told, str(options.output)]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
