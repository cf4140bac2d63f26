"""The main job: from descriptions and pictures to the best prompt set, and a folder that tells.

`ablate` does stages 3 and 4; `run` does all four. Both leave a run directory: best_prompts.json,
tables as CSV, plots and pictures as PNG, run.json with everything the report is made from, and
report.html.
"""

import shlex
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lsmseg_prompts.attributes import ATTRIBUTES, ask_attributes
from lsmseg_prompts.descriptions import check_attributes, load
from lsmseg_prompts.errors import ConfigurationError, LsmsegPromptsError, UsageError
from lsmseg_prompts.generation.run import generate
from lsmseg_prompts.llm import make_llm
from lsmseg_prompts.prompt_set import COMPOSITIONS
from lsmseg_prompts.prompting import vocabulary_for
from lsmseg_prompts.store import open_store, working_store_path
from lsmseg_prompts.terminal import note, progress_bar
from lsmseg_prompts.vocabularies import Vocabulary

if TYPE_CHECKING:
    from ablations.scoreboard import Bench
    from lsmseg_model.clip import Clip
    from lsmseg_model.data.benchmark import Benchmark

RULES = ("interval", "paper")


@dataclass(frozen=True)
class RunResult:
    """What a run found: the tables' rows (also in the CSV files), the choice, and the folder.

    ``files`` tells what each file of the folder is.
    """

    single: list[dict[str, Any]]
    combinations: list[dict[str, Any]]
    best: dict[str, Any]
    directory: Path
    files: dict[str, str]


def run(
    *,
    out: str | Path | None = None,
    llm: str = "bundled",
    vocab: str | None = None,
    store: str | None = None,
    progress: bool = True,
    **options: Any,
) -> RunResult:
    """All four stages: attributes, descriptions, single attributes, combinations; and export.

    ``options`` are those of `ablate`. Without ``attributes`` those of stage 1 are used. Each
    stage is told on stderr. Raises what the stages raise; nothing is written before stage 2.
    """
    data = options.get("data") or ["ministuff"]
    vocabularies = {v.name: v for v in (_vocabulary(d, vocab) for d in data)}
    provider = make_llm(llm)
    found = [attribute.name for attribute in ask_attributes(provider)]
    if progress:
        note(f"Stage 1  {llm} names {len(found)} attributes: {', '.join(found)}")
    attributes = options.pop("attributes", None) or list(check_attributes(found))
    for vocabulary in vocabularies.values():
        with progress_bar(
            f"Stage 2  asking {llm} about {vocabulary.name}", _bars(progress)
        ) as tell:
            summary = generate(
                working_store_path(store),
                vocabulary,
                provider,
                [*attributes, "typical"],
                progress=tell,
            )
        if progress:
            note(
                f"Stage 2  {vocabulary.name}: {summary.cells} descriptions, {summary.skipped} were "
                f"there, {summary.done} added, {summary.failed} failed"
            )
    return ablate(
        llm=llm,
        vocab=vocab,
        attributes=attributes,
        store=store,
        out=out,
        progress=progress,
        **options,
    )


def ablate(
    *,
    llm: str = "bundled",
    data: Sequence[str] = ("ministuff",),
    data_root: Sequence[str] | None = None,
    vocab: str | None = None,
    model: str = "lsmseg-tiny",
    pretrained: str | None = None,
    attributes: Sequence[str] | None = None,
    composition: str = "concat",
    limit: int | None = None,
    samples: int = 2000,
    rule: str = "interval",
    seed: int = 0,
    store: str | None = None,
    out: str | Path | None = None,
    device: str = "cpu",
    progress: bool = True,
) -> RunResult:
    """Stages 3 and 4 on one or more benchmarks; writes the run directory and the evaluations.

    data: benchmarks or folders; ``data_root`` their folders in the same order (MiniStuff and a
    folder given as data need none). vocab: by default the one each benchmark is labelled with.
    limit: at most so many pictures of a split. samples: bootstrap resamples. rule: "interval" or
    "paper" (see `combine.search`). out: the run directory (default runs/<time>).

    Raises the errors of the rooms below: UsageError, ConfigurationError, StoreError, DataError,
    CheckpointError; whatever can be checked is checked before the model runs.
    """
    arguments = dict(locals())
    started = time.monotonic()
    data = [data] if isinstance(data, str) else list(data)
    names = _attributes(attributes)
    if rule not in RULES:
        raise UsageError(f"There is no rule {rule!r}: choose {' or '.join(RULES)}.")
    if composition not in COMPOSITIONS:
        raise UsageError(
            f"There is no composition {composition!r}: choose {' or '.join(COMPOSITIONS)}."
        )
    if samples < 1:
        raise UsageError("samples, the number of bootstrap resamples, must be at least 1.")
    vocabularies = [_vocabulary(name, vocab) for name in data]
    roots = _roots(data, data_root)
    described = [
        load(v, llm, names, store) | load(v, llm, ["typical"], store, require=False)
        for v in vocabularies
    ]
    store_path = Path(working_store_path(store))
    with _run_directory(out) as directory:
        # torch from here on
        from ablations.combine import path_rows, search
        from ablations.outcome import Outcome
        from ablations.scoreboard import Scoreboard
        from ablations.scoring import open_splits
        from ablations.single import singles
        from lsmseg_model.clip import load_clip

        splits = [
            open_splits(name, root, limit, len(v), v.name, seed)
            for name, root, v in zip(data, roots, vocabularies, strict=True)
        ]
        clip = load_clip(model, pretrained, device)
        with open_store(store_path) as file, file.transaction():
            for vocabulary in vocabularies:
                file.add_vocabulary(vocabulary)
        benches = _benches(clip, splits, vocabularies, described, progress)
        board = Scoreboard(benches, composition=composition, llm=llm, samples=samples, seed=seed)

        with progress_bar("Stage 3  every attribute alone", _bars(progress)) as tell:
            alone = singles(board, names, tell)
        if progress:
            note(f"Stage 3  best alone on the selection split: {alone.best.name}")
        with progress_bar("Stage 4  combinations", _bars(progress)) as tell:
            found = search(board, names, rule, tell)
            path = path_rows(board, found, tell)
        if progress:
            note(f"Stage 4  best after {found.tried} candidates: {found.best.name}")

        outcome = Outcome(
            board=board,
            clip=clip,
            alone=alone,
            found=found,
            path=path,
            settings={**arguments, "data": data, "attributes": names},
            command=_command(arguments),
            llm={"name": llm, "provenance": _provenance(llm)},
            store=store_path,
        )
        files = outcome.write(directory, started, _bars(progress))
        with open_store(store_path) as file, file.transaction():
            for row in outcome.evaluations(directory.name):
                file.add_evaluation(**row)
        report(directory)
        files["report.html"] = "all of it on one page"
        return RunResult(alone.rows, path, outcome.best, directory, files)


def _benches(
    clip: "Clip",
    splits: Sequence[Mapping[str, "Benchmark"]],
    vocabularies: Sequence[Vocabulary],
    described: Sequence[Mapping[tuple[int, str], str]],
    progress: bool,
) -> list["Bench"]:
    """The benchmarks with their pictures looked at; the second of equal names is name#2."""
    from ablations.scoreboard import Bench
    from ablations.scoring import FrozenScorer

    benches: list[Bench] = []
    for parts, vocabulary, descriptions in zip(splits, vocabularies, described, strict=True):
        name = parts["report"].name
        twins = sum(bench.name.partition("#")[0] == name for bench in benches)
        title = f"{name}#{twins + 1}" if twins else name
        scorers = {split: FrozenScorer(clip, part) for split, part in parts.items()}
        for split, scorer in scorers.items():
            with progress_bar(f"{title}: looking at {split} pictures", _bars(progress)) as tell:
                scorer.features(tell)
        benches.append(Bench(title, vocabulary, descriptions, scorers, len(benches)))
    return benches


def report(directory: str | Path) -> Path:
    """Write report.html anew from what a run left in ``directory``; returns its path."""
    from ablations.report import write_report

    return write_report(directory)


def _attributes(names: Sequence[str] | None) -> list[str]:
    """The attributes to search among; typical stands beside them anyway."""
    if names is None:
        return list(ATTRIBUTES)
    found = [a for a in check_attributes(names) if a != "typical"]
    if not found:
        raise UsageError("Name an attribute to search among; typical is always shown beside them.")
    return found


def _vocabulary(data: str, vocab: str | None) -> Vocabulary:
    """The vocabulary a benchmark is labelled with, or the one that was asked for."""
    vocabulary = vocabulary_for(data, vocab)
    if data == "ministuff" and vocabulary.name != "coco-stuff":
        raise UsageError(
            f"MiniStuff is labelled with coco-stuff, not {vocabulary.name}: leave out --vocab, or "
            "give data that is labelled with it."
        )
    return vocabulary


def _roots(data: Sequence[str], roots: Sequence[str] | None) -> list[str | None]:
    """The folder of each benchmark; MiniStuff and a folder given as data need none."""
    roots = [roots] if isinstance(roots, str) else list(roots or [])
    if len(roots) == len(data):
        return list(roots)
    needy = [name for name in data if name != "ministuff" and not Path(name).is_dir()]
    if len(roots) != len(needy):
        raise UsageError(
            f"{len(roots)} folders are given with --data-root, but {len(needy)} of the data sets "
            f"need one ({', '.join(needy) or 'none'}): give them in the same order."
        )
    left = iter(roots)
    return [next(left) if name in needy else None for name in data]


@contextmanager
def _run_directory(out: str | Path | None) -> Iterator[Path]:
    """The run directory, made first so that an unwritable place is found out at once.

    One that was made here and stays empty, because the run failed, is removed again.
    """
    stamp = datetime.now().astimezone().strftime("%Y-%m-%dT%H-%M-%S")
    path = Path(out) if out is not None else Path("runs") / stamp
    number = 1
    while out is None and path.exists():
        number += 1
        path = Path("runs") / f"{stamp}-{number}"
    made = [folder for folder in (path, *path.parents) if not folder.exists()]
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise ConfigurationError(
            f"Cannot write into {path}: {error.strerror or error}; name another folder with --out."
        ) from error
    try:
        yield path
    except BaseException:
        with suppress(OSError):  # not empty: what is in it is whole and may be of use
            for folder in made:
                folder.rmdir()
        raise


def _bars(progress: bool) -> bool:
    """Whether bars are drawn: in a log file they would be blank lines."""
    return progress and sys.stderr.isatty()


def _provenance(llm: str) -> str | None:
    try:
        return make_llm(llm).provenance
    except LsmsegPromptsError:
        return None  # texts in the store by a provider that cannot be asked any more


def _command(arguments: dict[str, Any]) -> str:
    """The command as it was typed, or else the library call that repeats the run."""
    if Path(sys.argv[0]).stem in ("lsmseg-prompts", "cli"):
        return shlex.join(["lsmseg-prompts", *sys.argv[1:]])
    given = ", ".join(f"{key}={value!r}" for key, value in arguments.items() if value is not None)
    return f"ablations.runner.ablate({given})"
