"""Does lsmseg-tiny read descriptions? The differences it must show on unseen classes.

    python benchmarks/lsmseg_tiny.py [WEIGHTS] [--attributes color,shape,pattern]

Scores on MiniStuff's report split (200 pictures that neither training nor selection saw), each
difference with its 95 % paired bootstrap interval over pictures. Prints Markdown.
"""

import argparse

from ablations.scoring.frozen import FrozenScorer
from ablations.search.scoreboard import NAME, TYPICAL, Bench, Candidate, Scoreboard
from ablations.search.statistics import Draws
from lsmseg_model.data import load_benchmark
from lsmseg_model.networks.backbones.clip import load_clip
from lsmseg_prompts.attributes import ATTRIBUTES
from lsmseg_prompts.descriptions.loading import load
from lsmseg_prompts.vocabularies import load_vocabulary


def shown(draws: Draws) -> str:
    found = draws.interval()
    return f"{100 * found.value:.1f} [{100 * found.low:.1f}, {100 * found.high:.1f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", nargs="?", help="a weights file; the shipped one by default")
    parser.add_argument("--attributes", default="color,shape,pattern", help="the best combination")
    parser.add_argument("--small", action="store_true", help="only to see that it runs")
    arguments = parser.parse_args()

    best = tuple(arguments.attributes.split(","))
    vocabulary = load_vocabulary("coco-stuff")
    descriptions = load(vocabulary) | load(vocabulary, attributes=["typical"])
    scorer = FrozenScorer(
        load_clip(pretrained=arguments.weights),
        load_benchmark("ministuff", split="report", limit=20 if arguments.small else None),
    )
    bench = Bench("ministuff", vocabulary, descriptions, {"report": scorer})
    board = Scoreboard(
        [bench],
        llm="bundled",
        samples=200 if arguments.small else 2000,
        seed=0,
    )
    candidates = [
        NAME,
        *(Candidate((a,)) for a in ATTRIBUTES),
        TYPICAL,
        Candidate(best),
        Candidate(best, "random"),
        Candidate(best, "shuffled"),
    ]
    scores = dict(zip(candidates, board.score("report", candidates), strict=True))

    print("| text | all | seen | unseen |\n|---|---|---|---|")
    for candidate, score in scores.items():
        cells = (shown(score.mean[column]) for column in ("miou", "seen", "unseen"))
        print(f"| {candidate.name} | {' | '.join(cells)} |")

    def unseen(candidate: Candidate) -> Draws:
        return scores[candidate].mean["unseen"]

    print("\n| difference on unseen classes | points |\n|---|---|")
    whole = Candidate(best)
    rows = {f"{whole.name} - 2 x name": unseen(whole) - unseen(NAME) - unseen(NAME)}
    for attribute in ("color", "shape", "pattern"):
        rows[f"{attribute} - action"] = unseen(Candidate((attribute,))) - unseen(
            Candidate(("action",))
        )
    for control in ("shuffled", "random"):
        rows[f"{whole.name} - {control}"] = unseen(whole) - unseen(Candidate(best, control))
    for name, draws in rows.items():
        print(f"| {name} | {shown(draws)} |")


if __name__ == "__main__":
    main()
