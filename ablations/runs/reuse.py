"""A request that an earlier run has the results of is read from the folder of that run.

The store remembers which run did which request: the hash of the arguments, of the code, of the
weights and the texts, and of the pictures' files (their sizes and times, which take no time to
read). It counts while every file that the run wrote is there unchanged.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablations.report.run_file import SOFTWARE, versions
from ablations.runs.open import Descriptions
from ablations.runs.request import AblationRequest
from ablations.runs.result import RunResult
from ablations.scoring.count_store import key_of
from lsmseg_model.pull.find import here, is_repository
from lsmseg_prompts.store.sqlite import utc_now
from lsmseg_prompts.store.store import open_store, open_store_readonly
from lsmseg_prompts.vocabularies import Vocabulary

if TYPE_CHECKING:
    from ablations.scoring.splits import BenchmarkSource

ROOT = Path(__file__).resolve().parents[2]
CODE = (".py", ".j2", ".css", ".js", ".json", ".mplstyle")
# Arguments that change where results go and how they come about, not what they are.
ASIDE = ("out", "force", "store", "again", "cache", "executor", "llm", "batch_size", "workers")


def request_key(
    request: AblationRequest,
    sources: "Sequence[BenchmarkSource]",
    vocabularies: Sequence[Vocabulary],
    descriptions: Descriptions,
) -> str:
    """The hash of all that the results of a request depend on.

    Args:
        request: What is asked for.
        sources: The benchmarks.
        vocabularies: Theirs.
        descriptions: Those of each vocabulary.
    """
    arguments = {**asdict(request), "attributes": request.searched}
    return key_of(
        {
            "arguments": {k: str(v) for k, v in arguments.items() if k not in ASIDE},
            "llm": request.llm,
            "roots": [s.root and str(Path(s.root).resolve()) for s in sources],
            "vocabularies": [asdict(v) for v in vocabularies],
            "texts": [sorted([*key, text] for key, text in d.items()) for d in descriptions],
            "files": {str(path): _sha256(path) for path in _model_files(request)},
            "pictures": [list(_pictures(source)) for source in sources],
            "code": _code(),
        }
    )


def find_run(request: AblationRequest, key: str) -> RunResult | None:
    """The results of the run that did this request, if its files are all still whole.

    Another folder asked for (``out``) is another request.
    """
    if not request.store_path.is_file():
        return None
    with open_store_readonly(request.store_path) as file:
        rows = file.rows("SELECT directory, files FROM answers WHERE request = ?", [key])
    if not rows:
        return None
    directory, files = Path(rows[0]["directory"]), json.loads(rows[0]["files"])
    out = request.out
    if out is not None and Path(out).resolve() != directory:
        return None
    try:
        if any(_sha256(directory / name) != digest for name, (_, digest) in files.items()):
            return None
        record = json.loads((directory / "run.json").read_text("utf-8"))
    except (OSError, ValueError):
        return None
    shown = Path(out) if out is not None else directory
    if shown.is_absolute() and shown.is_relative_to(Path.cwd()) and out is None:
        shown = shown.relative_to(Path.cwd())
    what = {name: title for name, (title, _) in files.items()}
    return RunResult(
        record["single"],
        record["combinations"],
        record["best"],
        shown,
        what,
        refinement=record.get("refinement"),
    )


def keep_run(store: Path, key: str, result: RunResult) -> None:
    """Note that this run has the results of the request."""
    directory = result.directory.resolve()
    files = {name: (what, _sha256(directory / name)) for name, what in result.files.items()}
    row = {
        "request": key,
        "directory": str(directory),
        "files": json.dumps(files, ensure_ascii=False),
        "created_at": utc_now(),
    }
    with open_store(store) as file:
        file.write(
            "answers",
            row,
            "UPDATE SET directory = excluded.directory, files = excluded.files, "
            "created_at = excluded.created_at",
        )


def _model_files(request: AblationRequest) -> Iterator[Path]:
    """The files that are named, and the weights that go with a model's name."""
    start = request.refinement.start if request.refinement else None
    named = (request.pretrained, request.sam, request.checkpoint, request.config, request.model)
    weights = ROOT / "lsmseg_model" / "weights"
    for name in (*named, start, weights / f"{request.model}.safetensors"):
        if name is not None and Path(name).is_file():
            yield Path(name).resolve()
    if request.pretrained is not None or is_repository(request.model):
        found = here(request.model, request.pretrained)  # what a tag or a repository stands for
        if found is not None and found.resolve() != Path(request.pretrained or "").resolve():
            yield found.resolve()


def _pictures(source: "BenchmarkSource") -> Iterator[tuple[str, int, int]]:
    """The files of a benchmark with their sizes and times, and the groups of its pictures.

    MiniStuff is drawn by the code.
    """
    if source.data == "ministuff":
        return
    wholes: dict[int, Any] = {}  # once, where both splits are halves of it
    for part in source.splits().values():
        whole = getattr(part, "whole", part)
        wholes[id(whole)] = whole
    for whole in wholes.values():
        for pair in whole.pairs:
            for path in pair:
                stat = path.stat()
                yield str(path), stat.st_size, stat.st_mtime_ns
        yield str(whole.groups), 0, 0


def _code() -> list[str]:
    """The code of all rooms, and the versions of what they stand on."""
    digest = hashlib.sha256()
    for room in ("ablations", "lsmseg_model", "lsmseg_prompts"):
        for path in sorted((ROOT / room).rglob("*")):
            if path.suffix in CODE and path.is_file():
                digest.update(str(path.relative_to(ROOT)).encode())
                digest.update(path.read_bytes())
    libraries = versions((*SOFTWARE, "pillow"))
    return [digest.hexdigest(), *(f"{name} {number}" for name, number in libraries.items())]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
