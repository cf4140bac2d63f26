"""Words instead of attributes: which list of words, and which name for each class.

Lists are compared with the readable names on the selection split, in intervals that hold for all
of them at once; then, from the best so far, every class may take another name that any list has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ablations.scoring.frozen import OnProgress, Scorer
from ablations.scoring.threshold import ThresholdScorer, with_threshold
from ablations.search.path import UNKNOWN, Search, Step
from ablations.search.scoreboard import NAME, Bench, Candidate, Score, Scoreboard, fields, number
from ablations.search.statistics import Interval, Subset, bootstrap, simultaneous
from lsmseg_prompts.errors import UsageError
from lsmseg_prompts.prompts.prompt_set import PromptSet
from lsmseg_prompts.prompts.word_lists import WORDS

CHOSEN, THRESHOLD = Candidate((f"{WORDS}chosen",)), Candidate((f"{WORDS}threshold",))
Choose = Callable[[PromptSet], tuple[PromptSet | None, int, str]]
"""From the words so far to better ones, or None; of how many tried; and how that went."""


class WordBoard(Scoreboard):
    """A board whose candidates are word lists, made before.

    Args:
        benches: The benchmark.
        lists: Its word lists by their names.
        how: As of `Scoreboard`.
    """

    def __init__(
        self, benches: Sequence[Bench], lists: Mapping[str, PromptSet], **how: Any
    ) -> None:
        super().__init__(benches, **how)
        self.lists = dict(lists)

    def prompt_set(self, bench: Bench, candidate: Candidate) -> PromptSet:
        made = self.lists.get(candidate.name)
        return made or super().prompt_set(bench, candidate)

    def at_hand(self, bench: Bench, name: str) -> PromptSet | None:
        return self.lists.get(name) or super().at_hand(bench, name)

    def _to_score(self, bench: Bench, scorer: Scorer, candidate: Candidate) -> PromptSet:
        return self.prompt_set(bench, candidate)


@dataclass
class WordSearch(Search):
    """A `Search` among words.

    names: how many names of classes and thresholds were tried. how: what came of them.
    """

    names: int = 0
    how: str = ""

    @property
    def tried(self) -> int:
        return super().tried + self.names

    def note(self) -> str:
        decided = {
            "interval": "a list takes the place of the readable names only if the 95 % interval of "
            "its gain, made wide enough for all lists, lies above 0",
            "paper": "any gain is taken",
        }[self.rule]
        return (
            f"Word lists compared on the selection split: {decided}. {self.how} The "
            "best of many looks better than it is, so the scores below come from the report split."
        )


def search_words(
    board: WordBoard,
    rule: str,
    choose: Choose | None = None,
    calibrate: Choose | None = None,
    on_progress: OnProgress | None = None,
) -> WordSearch:
    """The readable names or a list that is better, then words chosen class by class.

    Args:
        board: Has the lists.
        rule: "interval" or "paper", as of `SearchOptions`.
        choose: Chooses class by class; None where nothing can.
        calibrate: Finds a threshold; None where none is asked for.
        on_progress: Called with pictures done and in all.

    Raises:
        UsageError: Where the selection split has too few pictures to choose by.
    """
    trial = [Candidate((name,)) for name in board.lists if name != NAME.name]
    start, *scores = board.score("selection", [NAME, *trial], on_progress)
    if few := start.miou.missing:
        raise UsageError(f"Words are chosen on the selection split, which has {few}.")
    result = WordSearch(rule, "words", steps=[Step(NAME, NAME.name, "start", None)])
    gains = simultaneous([score.miou - start.miou for score in scores])
    decides = [gain.low if rule == "interval" else gain.value for gain in gains]
    fit = [i for i, gain in enumerate(decides) if gain > 0]
    taken = max(fit or range(len(trial)), key=lambda i: scores[i].miou.value)
    status = "accepted" if fit else "rejected"
    result.steps.append(Step(trial[taken], trial[taken].name, status, gains[taken]))
    result.candidates += [_row(0, start, None, not fit)]
    result.candidates += [
        _row(1, score, gain, bool(fit) and i == taken)
        for i, (score, gain) in enumerate(zip(scores, gains, strict=True))
    ]
    for candidate, added, step in (
        (CHOSEN, "a name for each class", choose),
        (THRESHOLD, "a threshold", calibrate),
    ):
        if step is None:
            continue
        made, tried, how = step(board.lists[result.best.name])
        result.names += tried
        result.how = f"{result.how} {how}".strip()
        if made is not None:
            board.lists[candidate.name] = made
            (score,) = board.score("selection", [candidate])
            result.candidates.append(_row(len(result.steps), score, None, True))
            result.steps.append(Step(candidate, added, "accepted", None))
    return result


def _row(step: int, score: Score, gain: Interval | None, chosen: bool) -> dict[str, Any]:
    """A row of candidates.csv."""
    subsets: dict[str, Any] = {
        c: number(score.mean[c].value) for c in ("seen", "unseen") if c in score.mean
    }
    return {
        "step": step,
        "prompts": score.candidate.name,
        "split": score.split,
        **fields("miou", score.miou.interval()),
        "no_interval": score.miou.interval().missing,
        **subsets,
        **fields("gain", gain or UNKNOWN),
        "chosen": chosen,
    }


def find_threshold(
    scorer: ThresholdScorer,
    words: PromptSet,
    *,
    rule: str,
    samples: int,
    seed: int,
    on_progress: OnProgress | None = None,
) -> tuple[PromptSet | None, int, str]:
    """The words with the threshold that gains most on the selection split, or None.

    It is taken by the rule, in intervals that hold for all thresholds at once.

    Args:
        scorer: Of the selection split.
        words: The words so far.
        rule: "interval" or "paper".
        samples: Resamples.
        seed: Of the resamples.
        on_progress: Called with pictures done and in all.
    """
    thresholds = scorer.thresholds(words)
    counts = [*scorer.score([words]), *scorer.count_below(words, thresholds, on_progress)]
    groups = scorer.benchmark.groups
    drawn = bootstrap(counts, {"miou": Subset()}, samples, seed, 0, groups)
    without, *each = (one["miou"] for one in drawn)
    gains = simultaneous([one - without for one in each])
    decides = [gain.low if rule == "interval" else gain.value for gain in gains]
    fit = [i for i, gain in enumerate(decides) if gain > 0]
    if not fit:
        how = f"{len(thresholds)} thresholds for background were tried, and none is better."
        return None, len(thresholds), how
    taken = max(fit, key=lambda i: gains[i].value)
    found = with_threshold(words, thresholds[taken], THRESHOLD.name)
    how = (
        f"Of {len(thresholds)} thresholds for background {found.threshold:.4g} was taken: a pixel "
        "whose best score is below it is background."
    )
    return found, len(thresholds), how
