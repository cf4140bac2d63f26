"""What comes before stage 3: the request checked, descriptions loaded, pictures looked at."""

import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablations.scoring.options import ScorerOptions
from lsmseg_prompts.attributes import ATTRIBUTES
from lsmseg_prompts.descriptions.loading import check_attributes, load
from lsmseg_prompts.errors import ConfigurationError, UsageError
from lsmseg_prompts.llm.bundled import LLM_NAME, PROVENANCE
from lsmseg_prompts.prompts.prompt_set import COMPOSITIONS
from lsmseg_prompts.store.store import open_store, open_store_readonly, working_store_path
from lsmseg_prompts.terminal import note, progress_bar
from lsmseg_prompts.vocabularies import Vocabulary, benchmark_vocabulary

if TYPE_CHECKING:
    from ablations.scoring.models import Model
    from ablations.search.scoreboard import Bench

RULES = ("interval", "paper")
STRATEGIES = ("greedy", "beam", "chain", "exhaustive")

Described = list[dict[tuple[int, str], str]]
"""The descriptions of each benchmark's vocabulary, in the order of the benchmarks."""


@dataclass(frozen=True)
class Job:
    """A checked request: the benchmarks with their folders and vocabularies, the attributes."""

    data: list[str]
    roots: list[str | None]
    vocabularies: list[Vocabulary]
    attributes: list[str]
    arguments: dict[str, Any]
    scorer: ScorerOptions

    @property
    def store(self) -> Path:
        return Path(working_store_path(self.arguments["store"]))

    @property
    def settings(self) -> dict[str, Any]:
        """The arguments, with what was left open filled in."""
        return {**self.arguments, "data": self.data, "attributes": self.attributes}


def check(arguments: dict[str, Any]) -> Job:
    """Check the arguments of `runner.ablate`. Raises UsageError."""
    data = arguments["data"]
    data = [data] if isinstance(data, str) else list(data)
    names = _attributes(arguments["attributes"])
    rule, composition = arguments["rule"], arguments["composition"]
    if rule not in RULES:
        raise UsageError(f"There is no rule {rule!r}: choose {' or '.join(RULES)}.")
    if composition == "sentence":
        raise UsageError(
            "A sentence is written for one set of attributes, so there is nothing to search among: "
            "use --composition concat or ensemble, or score it with `evaluate`."
        )
    if composition not in COMPOSITIONS:
        raise UsageError(
            f"There is no composition {composition!r}: choose {', '.join(COMPOSITIONS)}."
        )
    if arguments["strategy"] not in STRATEGIES:
        raise UsageError(
            f"There is no strategy {arguments['strategy']!r}: choose {', '.join(STRATEGIES)}."
        )
    if arguments["beam_width"] < 1:
        raise UsageError("The beam width, the number of sets kept, must be at least 1.")
    if arguments["orders"] and composition != "concat":
        raise UsageError(
            f"The composition {composition} has no clauses whose order could matter: leave out "
            "--orders, or use --composition concat."
        )
    scorer = ScorerOptions(**{f.name: arguments[f.name] for f in fields(ScorerOptions)})
    if arguments["samples"] < 1:
        raise UsageError("samples, the number of bootstrap resamples, must be at least 1.")
    vocabularies = [labelled_with(name, arguments["vocab"]) for name in data]
    return Job(data, _roots(data, arguments["data_root"]), vocabularies, names, arguments, scorer)


def descriptions(job: Job, llms: Sequence[str]) -> dict[str, Described]:
    """What each LLM has written, `typical` too where it is there.

    Raises ConfigurationError that says which commands make what is missing, of all LLMs at once.
    """
    store = job.arguments["store"]
    if job.store.is_file():
        open_store(job.store).close()  # brings one of an older schema up to date
    found: dict[str, Described] = {}
    lacking: dict[str, None] = {}
    for llm in llms:
        try:
            found[llm] = [
                load(v, llm, job.attributes, store)
                | load(v, llm, ["typical"], store, require=False)
                for v in job.vocabularies
            ]
        except ConfigurationError as error:
            lacking[str(error)] = None
    if lacking:
        raise ConfigurationError(" ".join(lacking))
    return found


def look(job: Job) -> tuple["Model", list["Bench"]]:
    """Load the model and look at all pictures; the benches have no descriptions yet.

    The second benchmark of a name is called name#2. Raises what the model and the data raise.
    """
    from ablations.report.pictures import check_named
    from ablations.scoring.count_store import SqliteCountStore
    from ablations.scoring.factory import open_scorers
    from ablations.scoring.splits import BenchmarkSource, open_splits
    from ablations.search.scoreboard import Bench

    wanted = job.arguments
    splits = [
        open_splits(name, root, wanted["limit"], len(v), v.name, wanted["seed"])
        for name, root, v in zip(job.data, job.roots, job.vocabularies, strict=True)
    ]
    check_named([parts["report"] for parts in splits], wanted.get("picture"))
    counts = SqliteCountStore(job.store)
    model, make = open_scorers(job.scorer, counts, note if wanted["progress"] else None)
    with open_store(job.store) as file, file.transaction():
        for vocabulary in job.vocabularies:
            file.add_vocabulary(vocabulary)
    benches: list[Bench] = []
    places = zip(job.data, job.roots, splits, job.vocabularies, strict=True)
    for data, root, parts, vocabulary in places:
        name = parts["report"].name
        twins = sum(bench.name.partition("#")[0] == name for bench in benches)
        title = f"{name}#{twins + 1}" if twins else name
        source = BenchmarkSource(
            data, root, vocabulary.name, len(vocabulary), wanted["limit"], wanted["seed"]
        )
        scorers = {s: make(part, replace(source, split=s)) for s, part in parts.items()}
        for split, scorer in scorers.items():
            label = f"{title}: looking at {split} pictures"
            with progress_bar(label, bars(wanted["progress"])) as tell:
                scorer.encode_pictures(tell)
        benches.append(Bench(title, vocabulary, {}, scorers, len(benches)))
    return model, benches


def _attributes(names: Sequence[str] | None) -> list[str]:
    """The attributes to search among; typical stands beside them anyway."""
    if names is None:
        return list(ATTRIBUTES)
    found = [a for a in check_attributes(names) if a != "typical"]
    if not found:
        raise UsageError("Name an attribute to search among; typical is always shown beside them.")
    return found


def labelled_with(data: str, vocab: str | None) -> Vocabulary:
    """The vocabulary a benchmark is labelled with, or the one that was asked for."""
    vocabulary = benchmark_vocabulary(data, vocab)
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
def run_directory(out: str | Path | None) -> Iterator[Path]:
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


def bars(progress: bool) -> bool:
    """Whether bars are drawn: in a log file they would be blank lines."""
    return progress and sys.stderr.isatty()


def provenance(llm: str, store: Path) -> str | None:
    """Who wrote the texts, as the store has it: asking made the note, or importing did."""
    with open_store_readonly(store) as file:
        rows = file.rows("SELECT provenance FROM llms WHERE name = ?", [llm])
    noted = rows[0]["provenance"] if rows else None
    return noted or (PROVENANCE if llm == LLM_NAME else None)


def command(call: str, arguments: Mapping[str, Any]) -> str:
    """The command as it was typed, or else the library call that repeats the run."""
    if Path(sys.argv[0]).stem in ("lsmseg-prompts", "cli"):
        return shlex.join(["lsmseg-prompts", *sys.argv[1:]])
    given = ", ".join(f"{key}={value!r}" for key, value in arguments.items() if value is not None)
    return f"ablations.runner.{call}({given})"
