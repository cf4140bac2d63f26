"""A request that was answered before is answered from the folder of that run, without a model.

The store remembers which run answered what: the hash of the arguments, of the code, of the
weights and the texts, and of the pictures' files (their sizes and times, which are looked at in no
time). It counts while every file that the run wrote is there unchanged.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablations.runs.open import Described, Job
from ablations.scoring.count_store import key_of
from lsmseg_prompts.store.store import open_store, open_store_readonly, utc_now

if TYPE_CHECKING:
    from ablations.runs.ablate import RunResult

HERE = Path(__file__).resolve().parent.parent
# Arguments that change where results go and how they come about, not what they are.
ASIDE = ("out", "store", "progress", "again", "cache", "executor")
LIBRARIES = ("torch", "open_clip_torch", "numpy", "pillow", "matplotlib")


def request(job: Job, llm: str, described: Described) -> str:
    """The hash of all that the results of a checked request depend on."""
    arguments = {k: v for k, v in job.settings.items() if k not in ASIDE}
    return key_of(
        {
            "arguments": {k: str(v) for k, v in arguments.items()},
            "llm": llm,
            "roots": [r and str(Path(r).resolve()) for r in job.roots],
            "vocabularies": [asdict(v) for v in job.vocabularies],
            "texts": [sorted([*key, text] for key, text in d.items()) for d in described],
            "files": {str(path): _sha256(path) for path in _models(job.arguments)},
            "pictures": [list(_pictures(job, at)) for at in range(len(job.data))],
            "code": _code(),
        }
    )


def recall(job: Job, key: str) -> "RunResult | None":
    """The results of the run that answered this request, if its files are all still whole.

    Another folder asked for (``out``) is another request.
    """
    from ablations.runs.ablate import RunResult

    if not job.store.is_file():
        return None
    with open_store_readonly(job.store) as file:
        rows = file.rows("SELECT directory, files FROM answers WHERE request = ?", [key])
    if not rows:
        return None
    directory, files = Path(rows[0]["directory"]), json.loads(rows[0]["files"])
    out = job.arguments["out"]
    if out is not None and Path(out).resolve() != directory:
        return None
    try:
        if any(_sha256(directory / name) != known for name, (_, known) in files.items()):
            return None
        record = json.loads((directory / "run.json").read_text("utf-8"))
    except (OSError, ValueError):
        return None
    shown = Path(out) if out is not None else directory
    if shown.is_absolute() and shown.is_relative_to(Path.cwd()) and out is None:
        shown = shown.relative_to(Path.cwd())
    what = {name: title for name, (title, _) in files.items()}
    return RunResult(record["single"], record["combinations"], record["best"], shown, what)


def remember(store: Path, key: str, result: "RunResult") -> None:
    """Note that this run answered the request."""
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


def _models(arguments: Mapping[str, Any]) -> Iterator[Path]:
    """The files that are named, and the weights that go with a model's name."""
    from importlib.util import find_spec

    package = find_spec("lsmseg_model")
    assert package is not None and package.origin is not None
    named = [arguments.get(k) for k in ("pretrained", "sam", "checkpoint", "config", "model")]
    weights = Path(package.origin).parent / "weights"
    for name in (*named, weights / f"{arguments['model']}.safetensors"):
        if name is not None and Path(name).is_file():
            yield Path(name).resolve()


def _pictures(job: Job, at: int) -> Iterator[tuple[str, int, int]]:
    """The files of a benchmark with their sizes and times; MiniStuff is drawn by the code."""
    from ablations.scoring.splits import open_splits

    if job.data[at] == "ministuff":
        return
    vocabulary = job.vocabularies[at]
    parts = open_splits(
        job.data[at],
        job.roots[at],
        job.arguments["limit"],
        len(vocabulary),
        vocabulary.name,
        job.arguments["seed"],
    )
    whole: Any = getattr(parts["report"], "whole", None)
    for pair in whole.pairs:
        for path in pair:
            known = path.stat()
            yield str(path), known.st_size, known.st_mtime_ns


def _code() -> list[str]:
    """The code of all rooms, and the versions of what they stand on."""
    from importlib.metadata import PackageNotFoundError, version

    digest = hashlib.sha256()
    for room in ("ablations", "lsmseg_model", "lsmseg_prompts"):
        for path in sorted((HERE.parent / room).rglob("*")):
            if path.suffix in (".py", ".j2", ".css", ".js") and path.is_file():
                digest.update(str(path.relative_to(HERE.parent)).encode())
                digest.update(path.read_bytes())
    found = [digest.hexdigest()]
    for name in LIBRARIES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return found


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
