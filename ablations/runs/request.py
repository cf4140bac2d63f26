"""What an ablation is asked to do: a frozen request, checked where it is made; loads nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from ablations.refinement.options import RefineOptions
from ablations.scoring.options import ScorerOptions, freeze_lists, split_names, splits_of
from ablations.search.enough import check_samples
from ablations.search.options import SearchOptions
from lsmseg_prompts.attributes import ATTRIBUTES
from lsmseg_prompts.descriptions.loading import check_attributes
from lsmseg_prompts.errors import UsageError
from lsmseg_prompts.prompts.prompt_set import READ_BY_CLIP, check_missing
from lsmseg_prompts.store.sqlite import working_store_path

SEVERAL = ("data", "data_root", "split", "attributes", "picture", "words")
VARIED = ("attributes", "vocabulary")


@dataclass(frozen=True)
class AblationRequest(ScorerOptions, SearchOptions):
    """Stages 3 and 4: what is scored, on what, and how the best prompt set is searched for.

    Attributes:
        llm: Whose descriptions; any name under which the store has texts.
        data: Benchmarks or folders.
        data_root: Their folders in the same order; MiniStuff and a folder given as data need none.
        split: The part of the data, or two, "SELECTION,REPORT"; one for all benchmarks, or one
            for each, in the same order. By default the validation part. Of one split, half of the
            pictures are selected on and the others reported on.
        vocab: The vocabulary; by default the one each benchmark is labelled with.
        attributes: Those to search among; by default all nine.
        missing: What becomes of a class without descriptions: "fail"; "name", its plain name; or
            "skip": only cells count that all LLMs have, and classes without any stay out of the
            means.
        all_samples: Whether all samples of a description are averaged, where texts are.
        vary: What is compared: "attributes", or "vocabulary", the words that the classes of one
            benchmark are called by.
        words: Files of word lists to compare too, see `word_lists.read_words`.
        calibrate: Whether a threshold for background is looked for on the selection split.
        refinement: How the best set is refined class by class; None leaves it as it is.
        limit: At most so many pictures of a split.
        samples: Bootstrap resamples, at least 200.
        picture: Names of the pictures to show; by default docs/stages.md says which.
        store: The attribute store; by default the working store.
        out: The run directory (default runs/<time>).
        force: Write into it though it holds other files.
        again: Compute anew what an earlier run has the results of.

    The others are those of `ScorerOptions` and `SearchOptions`.

    Raises:
        UsageError: For values that do not exist or do not go together.
    """

    llm: str = "bundled"
    data: Sequence[str] = ("ministuff",)
    data_root: Sequence[str] | None = None
    split: Sequence[str] | None = None
    vocab: str | None = None
    attributes: Sequence[str] | None = None
    missing: str = "fail"
    all_samples: bool = False
    vary: str = "attributes"
    words: Sequence[str] | None = None
    calibrate: bool = False
    refinement: RefineOptions | None = None
    limit: int | None = None
    samples: int = 2000
    picture: Sequence[str] | None = None
    store: str | None = None
    out: str | Path | None = None
    force: bool = False
    again: bool = False

    def __post_init__(self) -> None:
        freeze_lists(self, SEVERAL)
        if not self.data:
            raise UsageError("No data is named: leave it out, or name a benchmark or a folder.")
        _ = self.searched, self.search_options, self.scorer_options  # they check themselves
        _ = [split_names(split) for split in self.splits]
        by_clip = [name for name in self.compositions if name in READ_BY_CLIP]
        if by_clip and self.scorer != "frozen":
            raise UsageError(
                f"The scorer {self.scorer} is a whole network, which cannot read texts by "
                f"{by_clip[0]}: use --composition ensemble, or --scorer frozen."
            )
        check_samples(self.samples)
        check_missing(self.missing)
        self._check_words()
        self._check_refinement()

    def _check_words(self) -> None:
        """Raise UsageError where words cannot be varied as it is asked for."""
        if self.vary not in VARIED:
            raise UsageError(f"{self.vary!r} cannot be varied: choose {' or '.join(VARIED)}.")
        if self.vary == "attributes":
            for option, value in (("words", self.words), ("calibrate", self.calibrate or None)):
                if value is not None:
                    raise UsageError(
                        f"--{option} has no effect without --vary vocabulary: leave it out."
                    )
        elif len(self.data) > 1:
            raise UsageError(
                "Words are those of one benchmark: beside --vary vocabulary name only one "
                "with --data."
            )
        elif self.scorer == "retrain":
            raise UsageError(
                "Words are not trained anew: with --vary vocabulary use --scorer frozen or trained."
            )
        elif self.calibrate and (self.scorer, self.executor) != ("frozen", "local"):
            raise UsageError(
                "A threshold is found for a CLIP on this machine: leave out --calibrate, or "
                "--scorer and --executor."
            )

    def _check_refinement(self) -> None:
        """Raise UsageError where a set cannot be refined class by class."""
        if self.refinement is None:
            return
        if self.missing != "fail" or self.all_samples:
            raise UsageError(
                "Refinement starts from one description of each class and attribute: leave out "
                "--missing and --all-samples."
            )
        if self.vary == "vocabulary":
            raise UsageError(
                "Words are chosen class by class already: leave out --vary vocabulary, or refine "
                "descriptions."
            )
        if len(self.data) > 1:
            raise UsageError(
                "Prompts are refined on one benchmark at a time: name only one with --data."
            )
        if others := set(self.compositions) - {"concat", "ensemble"}:
            raise UsageError(
                f"Refinement averages the texts of a class, so it cannot start from a set read by "
                f"{min(others)}: use --composition concat, ensemble or both."
            )
        if self.scorer == "retrain":
            raise UsageError(
                "A network is not trained anew for every candidate of refinement: use --scorer "
                "frozen or trained."
            )

    @property
    def splits(self) -> list[str | None]:
        """The ``split`` of each benchmark."""
        return splits_of(self.data, self.split)

    @property
    def searched(self) -> list[str]:
        """The attributes to search among; typical stands beside others anyway."""
        if self.attributes is None:
            return list(ATTRIBUTES)
        names = list(check_attributes(self.attributes))
        return [name for name in names if name != "typical"] or names

    @property
    def scorer_options(self) -> ScorerOptions:
        """The part of the request that is about the scorer."""
        return ScorerOptions(**{f.name: getattr(self, f.name) for f in fields(ScorerOptions)})

    @property
    def search_options(self) -> SearchOptions:
        """The part of the request that is about the search."""
        return SearchOptions(**{f.name: getattr(self, f.name) for f in fields(SearchOptions)})

    @property
    def store_path(self) -> Path:
        """The store that is read and written."""
        return Path(working_store_path(self.store))
