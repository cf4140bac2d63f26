"""The folder that `studio --static` writes."""

from __future__ import annotations

import base64
import hashlib
import shutil
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from ablations.report.html import PAGE, report
from ablations.report.run_file import COMPARISON, RUN, read_run
from ablations.runs.leaderboard import leaderboard
from ablations.studio.options import StudioOptions
from ablations.studio.state import Studio
from ablations.studio.static_site.pictures import PictureWriter, chosen, sets_of
from ablations.studio.web.pages import filled
from lsmseg_model.data.parallel import OnProgress
from lsmseg_model.files import check_folder, new_folder
from lsmseg_prompts.errors import ConfigurationError, LsmsegPromptsError
from lsmseg_prompts.files import write_whole

INDEX, PICTURES, RUNS, MARK = "index.html", "pictures.html", "runs", "site.json"
COPIED = {".html", ".json", ".csv", ".png", ".pdf", ".tex"}


def studio_static(
    options: StudioOptions,
    out: str | Path,
    *,
    pictures: Sequence[str] | None = None,
    force: bool = False,
    on_progress: OnProgress | None = None,
) -> Path:
    """Write the leaderboard, the runs and pictures under their prompt sets as plain files.

    Nothing of it needs a server: the pages open from a disk too, and load nothing from elsewhere.

    Args:
        options: What the studio would be opened with: its runs, its pictures, its model.
        out: The folder; an earlier site is replaced.
        pictures: The keys of the pictures to show, the first ones if None.
        force: Write into a folder that holds other files.
        on_progress: Called after each picture of each run.

    Returns:
        The page to open.

    Raises:
        ConfigurationError: Where there is no run.
        UsageError: For a picture that is not there.
        DataError: For a folder that may not be written into.
    """
    studio, folder = Studio(options), Path(out)
    check_folder(folder, "studio --static", lambda path: (path / MARK).is_file(), force)
    runs = runs_in(studio.runs)
    if not runs:
        raise ConfigurationError(
            f"{studio.runs} holds no run: `lsmseg-prompts run` makes one; --runs names the folder."
        )
    shown = chosen(studio, pictures)
    with_pictures = [run for run in runs if _is_of(run["record"], studio)]
    done, total = 0, len(shown) * len(with_pictures)
    with new_folder(folder):
        write_whole(folder / MARK, "{}\n")
        for run in runs:
            _copy(run["folder"], folder / RUNS / run["name"])
        for run in with_pictures:
            writer = PictureWriter(studio, sets_of(run["folder"], studio))
            rows = []
            for picture in shown:
                place = folder / RUNS / run["name"] / "pictures" / str(picture)
                place.mkdir(parents=True, exist_ok=True)
                rows.append({**writer.write(place, picture), "folder": f"pictures/{picture}"})
                done += 1
                if on_progress:
                    on_progress(done, total)
            run["pictures"] = rows
            text = _page("site_pictures.html.j2", run=run, measure=studio.model.score)
            write_whole(folder / RUNS / run["name"] / PICTURES, text)
        board = leaderboard(store=options.store) if studio.store.is_file() else []
        text = _page("site_index.html.j2", runs=runs, board=board)
        write_whole(folder / INDEX, text)
    return folder / INDEX


def runs_in(folder: Path) -> list[dict[str, Any]]:
    """The runs and comparisons below a folder that can be read, newest first."""
    found = []
    for path in sorted(folder.iterdir(), reverse=True) if folder.is_dir() else ():
        if path.is_symlink() or not (path / RUN).is_file():
            continue
        try:
            record = read_run(path)
        except LsmsegPromptsError:
            continue  # damaged, or of another version: its own command says so
        found.append({"name": path.name, "folder": path, "record": record, "pictures": []})
    return found


def _is_of(record: dict[str, Any], studio: Studio) -> bool:
    """Whether a run is of the pictures that the studio was opened with."""
    names = [benchmark["name"] for benchmark in record["benchmarks"]]
    return record["format"] != COMPARISON and studio.benchmark.name in names


def _copy(run: Path, folder: Path) -> None:
    """The run's own files, its report written anew."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in sorted(run.iterdir()):
        if file.suffix in COPIED and file.is_file() and not file.is_symlink():
            shutil.copyfile(file, folder / file.name)
    if not (folder / PAGE).is_file():
        report(folder)


def _page(template: str, **values: Any) -> str:
    """A page with its style and script inside, which it names by its hash."""
    assets = files("ablations.studio").joinpath("assets")
    style, script = (
        assets.joinpath(name).read_text(encoding="utf-8") for name in ("studio.css", "site.js")
    )
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    return filled(template, style=style, script=script, script_digest=digest, **values)
