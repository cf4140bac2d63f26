"""`studio --static`: runs and pictures as plain files that need no server."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.report_pages import EVIL

import ablations
from ablations.studio.options import StudioOptions
from ablations.studio.state import Studio
from ablations.studio.static_site import site
from ablations.studio.static_site.pictures import PictureWriter, chosen, sets_of
from lsmseg_model.errors import DataError
from lsmseg_prompts.errors import ConfigurationError
from lsmseg_prompts.export.native import export_native
from lsmseg_prompts.prompts.from_store import prompt_set
from lsmseg_prompts.vocabularies import load_vocabulary


@pytest.fixture
def options(whole: Path, tmp_path: Path, monkeypatch: Any, tiny: Any) -> StudioOptions:
    """One run with a best set, and lsmseg-tiny."""
    run = tmp_path / "runs" / "first"
    shutil.copytree(whole, run, ignore=shutil.ignore_patterns("runs"))
    record = json.loads((run / "run.json").read_text())
    record["benchmarks"][0]["name"] = "ministuff"
    (run / "run.json").write_text(json.dumps(record))
    vocabulary = load_vocabulary("coco-stuff")
    best = prompt_set(vocabulary, ["color"])
    export_native(best, vocabulary, run / "best_prompts.json", force=True)
    monkeypatch.setattr(site, "Studio", lambda given: Studio(given, tiny))
    return StudioOptions(store=str(tmp_path / "no.sqlite"), runs=tmp_path / "runs")


@pytest.fixture
def pages(options: StudioOptions, tmp_path: Path) -> Path:
    return ablations.studio_static(options, tmp_path / "site", pictures=["report-0003"]).parent


def test_everything_is_there(pages: Path) -> None:
    run = pages / "runs" / "first"
    index = (pages / "index.html").read_text()
    assert 'href="runs/first/report.html"' in index and 'href="runs/first/pictures.html"' in index
    assert EVIL not in index and (run / "best_prompts.json").is_file()
    folder = run / "pictures" / "3"
    assert Image.open(folder / "picture.png").size == (128, 128)
    text = (run / "pictures.html").read_text()
    for name in ("picture.png", "labels.png", "set0.png", "set1.png"):
        assert (folder / name).is_file() and f"pictures/3/{name}" in text
    maps = sorted(path.name for path in (folder / "set1").iterdir())
    assert maps and all(f'data-map="{name}"' in text for name in maps)
    for page in pages.rglob("*.html"):
        assert "http" not in page.read_text().replace("http-equiv", "").replace("www.w3", "")[:9000]


def test_what_is_right_is_counted(options: StudioOptions, tiny: Any, tmp_path: Path) -> None:
    studio = Studio(options, tiny)
    sets = sets_of(tmp_path / "runs" / "first", studio)
    assert list(sets) == ["the name", "best"]
    writer = PictureWriter(studio, sets)
    (tmp_path / "out").mkdir()
    (picture,) = chosen(studio, ["report-0003"])
    told = writer.write(tmp_path / "out", picture)
    indices = list(studio.benchmark.class_indices)
    texts = [sets["best"].texts[index] for index in indices]
    found = tiny.predict(studio.benchmark.picture(picture), writer.names, texts)
    labels = studio.benchmark.labels(picture)
    right = (np.array(indices)[found.masks] == labels).mean()
    assert told["sets"][1]["right"] == pytest.approx(right)


def test_refusals(options: StudioOptions, tmp_path: Path) -> None:
    with pytest.raises(Exception, match="No picture of ministuff is called x: there are report-"):
        ablations.studio_static(options, tmp_path / "site", pictures=["x"])
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.tex").write_text("mine")
    with pytest.raises(DataError, match=r"thesis\.tex"):
        ablations.studio_static(options, other)
    assert [path.name for path in other.iterdir()] == ["thesis.tex"]
    shutil.rmtree(tmp_path / "runs")
    with pytest.raises(ConfigurationError, match="holds no run"):
        ablations.studio_static(options, tmp_path / "site")


def test_links_out_of_a_run_are_not_followed(options: StudioOptions, tmp_path: Path) -> None:
    secret = tmp_path / "secret.json"
    secret.write_text("1")
    (tmp_path / "runs" / "first" / "more.json").symlink_to(secret)
    (tmp_path / "runs" / "second").symlink_to(tmp_path)
    page = ablations.studio_static(options, tmp_path / "site", pictures=[])
    assert not (page.parent / "runs" / "first" / "more.json").exists()
    assert not (page.parent / "runs" / "second").exists()


@pytest.mark.slow
@pytest.mark.browser
def test_a_class_under_the_cursor_shows_its_cost_maps(pages: Path, page: Any) -> None:
    page.goto((pages / "index.html").as_uri())
    page.click("text=pictures")
    image = page.locator("img[data-maps]").last
    plain = image.get_attribute("src")
    button = page.locator("button[data-map]").nth(1)
    button.hover()
    assert "set1/1-" in image.get_attribute("src")
    assert image.evaluate("i => i.decode().then(() => i.naturalWidth)") == 128
    button.click()
    page.mouse.move(0, 0)
    assert "set1/1-" in image.get_attribute("src")
    button.click()
    page.mouse.move(0, 0)
    assert image.get_attribute("src") == plain
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
