"""What comes before stage 3: vocabularies and descriptions loaded, pictures opened."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ablations.runs.request import AblationRequest
from lsmseg_prompts.attributes.samples import asked_of
from lsmseg_prompts.descriptions.loading import load
from lsmseg_prompts.errors import ConfigurationError, UsageError
from lsmseg_prompts.prompts.compose import Writing, can_be_written, compose, written_for
from lsmseg_prompts.store.store import open_store
from lsmseg_prompts.terminal import note, progress_bar
from lsmseg_prompts.tokens import CLIP
from lsmseg_prompts.vocabularies import Vocabulary, benchmark_vocabulary

if TYPE_CHECKING:
    from ablations.scoring.models import Model
    from ablations.scoring.splits import BenchmarkSource
    from ablations.search.scoreboard import Bench

Descriptions = list[dict[tuple[int, str], str]]
"""The descriptions of each benchmark's vocabulary, in the order of the benchmarks."""


def benchmark_sources(
    request: AblationRequest,
) -> "tuple[list[BenchmarkSource], list[Vocabulary]]":
    """The benchmarks that are asked for, and their vocabularies.

    Raises UsageError for one that does not exist, and for folders that do not go with them.
    """
    from ablations.scoring.splits import BenchmarkSource

    vocabularies = [labelled_with(name, request.vocab) for name in request.data]
    roots = benchmark_roots(request.data, request.data_root or ())
    limit, seed = request.limit, request.seed
    sources = [
        BenchmarkSource(data, root, v.name, len(v), limit, seed, named=split)
        for data, root, v, split in zip(
            request.data, roots, vocabularies, request.splits, strict=True
        )
    ]
    return sources, vocabularies


def load_descriptions(
    request: AblationRequest, vocabularies: Sequence[Vocabulary], llms: Sequence[str]
) -> dict[str, Descriptions]:
    """What each LLM has written, `typical` too where it is there.

    With "skip" only what all of them have. Raises ConfigurationError that says which commands make
    what is missing, of all LLMs at once; also where not a single description is left; and with
    "fail" RefusedError for one that cannot be shortened to the model's token budget.
    """
    if request.store_path.is_file():
        open_store(request.store_path).close()  # brings one of an older schema up to date
    loaded: dict[str, Descriptions] = {}
    lacking: dict[str, None] = {}
    searched, samples = request.searched, request.all_samples
    for llm in llms:
        try:
            loaded[llm] = [
                load(v, llm, searched, request.store, request.missing == "fail", samples)
                | load(v, llm, ["typical"], request.store, False, samples)
                for v in vocabularies
            ]
            for vocabulary, cells in zip(vocabularies, loaded[llm], strict=True):
                if not cells:
                    load(vocabulary, llm, searched, request.store)  # says what makes them
        except ConfigurationError as error:
            lacking[str(error)] = None
    if lacking:
        raise ConfigurationError(" ".join(lacking))
    if request.missing == "fail" and (budget := request.token_budget) != CLIP:
        for of_llm in loaded.values():
            for at, vocabulary in enumerate(vocabularies):
                of_llm[at] = _within(of_llm[at], vocabulary, written_for(budget))
    return _in_common(loaded, vocabularies) if request.missing == "skip" else loaded


def _within(
    cells: Mapping[tuple[int, str], str], vocabulary: Vocabulary, writing: Writing
) -> dict[tuple[int, str], str]:
    """The descriptions; of `typical`, which need not be there, those that can be short enough."""
    kept = {}
    for (index, attribute), text in cells.items():
        entry = vocabulary[index]
        if asked_of(attribute) != "typical":
            compose([text], entry, writing)  # raises where it cannot
        elif not can_be_written(text, entry, writing):
            continue
        kept[index, attribute] = text
    return kept


def _in_common(
    loaded: dict[str, Descriptions], vocabularies: Sequence[Vocabulary]
) -> dict[str, Descriptions]:
    """Of each LLM's descriptions those in cells that all of them have."""
    common = [
        {cell for cell in of_one[0] if all(cell in of_llm for of_llm in of_one)}
        for of_one in zip(*loaded.values(), strict=True)
    ]
    for vocabulary, cells in zip(vocabularies, common, strict=True):
        if not cells:
            raise ConfigurationError(
                f"{' and '.join(loaded)} have no description in common for {vocabulary.name}: use "
                "--missing name, or other --attributes."
            )
    return {
        llm: [
            {cell: text for cell, text in mine.items() if cell in cells}
            for mine, cells in zip(of_llm, common, strict=True)
        ]
        for llm, of_llm in loaded.items()
    }


def coverage(
    request: AblationRequest,
    vocabularies: Sequence[Vocabulary],
    loaded: Mapping[str, Descriptions],
) -> list[str]:
    """What there is of how many, a sentence for each vocabulary and LLM; none with "fail".

    Args:
        request: What is asked for.
        vocabularies: Those of the benchmarks.
        loaded: What `load_descriptions` gave.
    """
    if request.missing == "fail":
        return []
    sentences: dict[str, None] = {}
    several = len(loaded) > 1
    for at, vocabulary in enumerate(vocabularies):
        for llm, of_llm in loaded.items():
            cells = {cell for cell in of_llm[at] if cell[1] in request.searched}
            classes = len({index for index, _ in of_llm[at]})
            numbers = (
                f"{len(cells):,} of {len(vocabulary) * len(request.searched):,} descriptions of "
                f"{vocabulary.name}, and {classes} of {len(vocabulary)} classes with any"
            )
            if request.missing == "name":
                sentences[f"{llm} has {numbers}; the others stand with their plain name."] = None
                continue
            who = "All LLMs have" if several else f"{llm} has"
            sentences[
                f"{who} {numbers}: these classes alone count, and the others stand with their "
                "plain name."
            ] = None
    return list(sentences)


def open_benches(
    request: AblationRequest,
    sources: "Sequence[BenchmarkSource]",
    vocabularies: Sequence[Vocabulary],
    progress: bool,
) -> tuple["Model", list["Bench"]]:
    """Check the data, load the model, make the benches; they have no descriptions yet.

    No picture is looked at, and nothing is written. The second benchmark of a name is called
    name#2.

    Args:
        request: What is asked for.
        sources: The benchmarks.
        vocabularies: Theirs.
        progress: Whether progress is shown.

    Raises:
        DataError, CheckpointError, ConfigurationError: What the data and the model raise.
    """
    from ablations.report.pictures import check_named
    from ablations.scoring.count_store import SqliteCountStore
    from ablations.scoring.factory import open_scorers
    from ablations.search.scoreboard import Bench
    from lsmseg_model.data.benchmark import must_be_labelled

    splits = [source.splits() for source in sources]
    for part in (part for parts in splits for part in parts.values()):
        must_be_labelled(part)
    check_named([parts["report"] for parts in splits], request.picture)
    if progress and (warning := drawings_note(request)):
        note(warning)
    counts = SqliteCountStore(request.store_path)
    model, make = open_scorers(request.scorer_options, counts, note if progress else None)
    benches: list[Bench] = []
    for parts, source, vocabulary in zip(splits, sources, vocabularies, strict=True):
        name = parts["report"].name
        same = sum(bench.name.partition("#")[0] == name for bench in benches)
        title = f"{name}#{same + 1}" if same else name
        scorers = {s: make(part, replace(source, split=s)) for s, part in parts.items()}
        benches.append(Bench(title, vocabulary, {}, scorers, len(benches)))
    return model, benches


def encode_pictures(benches: "Sequence[Bench]", store: Path, progress: bool) -> None:
    """Look at all pictures, and enter the vocabularies into the store.

    progress: whether it is shown.
    """
    for bench in benches:
        for split, scorer in bench.scorers.items():
            label = f"{bench.name}: looking at {split} pictures"
            with progress_bar(label, progress) as on_progress:
                scorer.encode_pictures(on_progress)
    with open_store(store) as file, file.transaction():
        for bench in benches:
            file.add_vocabulary(bench.vocabulary)


def drawings_note(request: AblationRequest) -> str | None:
    """The warning about a model that knows drawings only, where the data are none."""
    from lsmseg_model.segmenter import drawings_only

    if request.scorer == "retrain" or set(request.data) == {"ministuff"}:
        return None
    return drawings_only(request.model, request.pretrained, request.checkpoint)


def labelled_with(data: str, vocab: str | None) -> Vocabulary:
    """The vocabulary a benchmark is labelled with, or the one that was asked for."""
    vocabulary = benchmark_vocabulary(data, vocab)
    if data == "ministuff" and vocabulary.name != "coco-stuff":
        raise UsageError(
            f"MiniStuff is labelled with coco-stuff, not {vocabulary.name}: leave out --vocab, or "
            "give data that is labelled with it."
        )
    return vocabulary


def benchmark_roots(
    data: Sequence[str], roots: Sequence[str], option: str = "--data-root"
) -> list[str | None]:
    """The folder of each benchmark; MiniStuff and a folder given as data have none.

    Raises UsageError, which names the option, where there are too many or too few.
    """
    needy = [name for name in data if name != "ministuff" and not Path(name).is_dir()]
    if len(roots) != len(needy):
        raise UsageError(
            f"{len(roots)} folders are given with {option}, but {len(needy)} of the data sets "
            f"need one ({', '.join(needy) or 'none'}): give them in the same order; "
            "docs/benchmarks.md says where to get them."
        )
    left = iter(roots)
    return [next(left) if name in needy else None for name in data]
