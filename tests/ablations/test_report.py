"""report.html: self-contained, escaped, and made anew from what a run left."""

import base64
import csv
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.ablation_fakes import FakeBenchmark
from support.report_pages import EVIL, Reader, differences, leave

from ablations.report import class_plots
from ablations.report.html import report
from ablations.report.pictures import (
    broken,
    check_named,
    choose_classes,
    choose_pictures,
    coverage,
    gains,
    named,
)
from ablations.report.sheet import score, signed
from ablations.runs.open import drawings_note
from ablations.runs.request import AblationRequest
from lsmseg_model.data.palette import colour
from lsmseg_prompts.errors import ConfigurationError, UsageError


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return leave(tmp_path)


def test_page_is_self_contained_well_formed_and_escaped(directory: Path) -> None:
    path = report(directory)
    text = path.read_text(encoding="utf-8")
    reader = Reader()
    reader.feed(text)
    assert not reader.open
    assert reader.seen.count("script") == 1 and "link" not in reader.seen  # our own
    outside = [link for link in reader.links if not link.startswith("#")]
    assert outside and all(link.startswith("data:image/png;base64,") for link in outside)
    assert "http:" not in re.sub(r"base64,[^\"]*", "", text) and "@import" not in text
    assert text.count("&lt;script&gt;") == 4  # card, caption, text, provenance
    assert "&#39;a &amp; b&#39;" in text


def test_a_model_that_knows_drawings_only_is_told_first(directory: Path, drawings: Path) -> None:
    asked = AblationRequest(data=["camvid"], pretrained=str(drawings))
    note = drawings_note(asked)
    assert note is not None and drawings_note(replace(asked, data=["ministuff"])) is None
    assert 'class="warning"' not in report(directory).read_text(encoding="utf-8")
    run = json.loads((directory / "run.json").read_text(encoding="utf-8"))
    run["best"]["note"] = note
    (directory / "run.json").write_text(json.dumps(run), encoding="utf-8")
    page = report(directory).read_text(encoding="utf-8")
    assert page.index("knows drawings only") < page.index('class="lead"')


def test_texts_and_names_of_classes_are_escaped_everywhere(whole: Path) -> None:
    text = report(whole).read_text(encoding="utf-8")
    reader = Reader()
    reader.feed(text)
    assert not reader.open and reader.seen.count("script") == 1
    assert "<script>alert" not in text
    # class table: name, text; pairs: as label and as prediction; command; and as in the old page
    assert text.count("&lt;script&gt;") == 9


def test_only_our_script_may_run(whole: Path) -> None:
    text = report(whole).read_text(encoding="utf-8")
    (script,) = re.findall("<script>(.*?)</script>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert "default-src 'none'; img-src data:" in text
    assert f"script-src 'sha256-{digest}'" in text


def test_tables_can_be_read_aloud(whole: Path) -> None:
    text = report(whole).read_text(encoding="utf-8")
    tables = re.findall("<table.*?</table>", text, re.DOTALL)
    assert len(tables) == 9
    for table in tables:
        assert table.count("<caption") == 1
        head, _, body = table.partition("</thead>")
        assert head.count('<th scope="col"') == head.count("<th ") > 1
        assert body.count('<th scope="row"') == body.count("<tr") > 0
    assert not re.findall("<img(?![^>]* alt=)", text)


def test_page_tells_of_classes_pairs_lengths_and_commands(whole: Path) -> None:
    text = report(whole).read_text(encoding="utf-8")
    for expected in (
        "Of 4 classes in the labels, the IoU of 4 rose and of 0 fell; the interval lies above 0 "
        "for 4 and below 0 for 0.",
        "a photo of a sky",
        "A sky has the color of a sky.",
        "Confusions that changed most",
        ">-40.0<",
        "Lengths of the prompts",
        "To repeat it",
        "Seen against unseen classes",
    ):
        assert expected in text


def test_tables_are_left_for_a_paper(whole: Path) -> None:
    report(whole)
    assert {p.name for p in whole.glob("*.tex")} == {
        f"{stem}.tex"
        for stem in (
            *("single", "combinations", "seen_unseen", "per_class", "confusions", "lengths"),
        )
    }
    with (whole / "per_class.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert rows[0]["name"] == EVIL and rows[0]["after"] == f"{EVIL} | second"
    assert rows[1]["seen"] == "True" and float(rows[1]["difference_low"]) > 0
    tex = (whole / "single.tex").read_text()
    assert "\\label{tab:single}" in tex and "\\toprule" in tex


def test_what_the_choice_gains_is_a_table_on_the_page_and_two_files(tmp_path: Path) -> None:
    rows = differences()
    page = report(leave(tmp_path, differences=rows)).read_text(encoding="utf-8")
    gain = signed(rows[0])  # such as "+13.9 [+13.5, +14.2]"
    assert "What color+shape gains" in page and gain.replace(", ", ",\u00a0") in page
    with (tmp_path / "differences.csv").open(newline="") as stream:
        written = list(csv.DictReader(stream))
    assert [row["prompts"] for row in written] == ["name", "shuffled(color)"]
    assert float(written[0]["difference_low"]) == pytest.approx(rows[0]["difference_low"], abs=1e-6)
    tex = (tmp_path / "differences.tex").read_text()
    assert "\\label{tab:differences}" in tex and "textbf" not in tex


def test_a_record_without_differences_has_no_such_table(directory: Path) -> None:
    assert "gains</caption>" not in report(directory).read_text(encoding="utf-8")
    assert not (directory / "differences.csv").exists()


def test_cells_say_of_which_column_they_are(whole: Path) -> None:
    page = report(whole).read_text(encoding="utf-8")
    (table,) = re.findall('<table class="data classes stacked">.*?</table>', page, re.DOTALL)
    heads = re.findall('<th scope="col"[^>]*>([^<]*)', table)
    line = table.partition("<tbody>")[2].partition("</tr>")[0]
    assert re.findall('<td data-label="([^"]*)"', line) == heads[1:]


def test_page_shows_tables_choice_and_origin(directory: Path) -> None:
    text = report(directory).read_text(encoding="utf-8").replace("<wbr>", "")
    for expected in ("shuffled(color+shape)", "color+shape *", "not taken", "catseg", "A summary."):
        assert expected in text
    assert text.count("<img") == 1  # a figure whose file is gone is left out
    assert "Gone" not in text


def test_report_is_made_anew(directory: Path) -> None:
    first = report(directory).read_bytes()
    (directory / "report.html").unlink()
    assert report(directory).read_bytes() == first


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "not a run"),
        ("{", "damaged"),
        ("[]", "not the record"),
        ('{"format": "other"}', "not the record"),
        ('{"format": "lsmseg-prompts/run", "version": 99}', "of the record: 99, this one reads 2"),
        ('{"format": "lsmseg-prompts/run", "version": "2"}', "of the record: '2', this one"),
        ('{"format": "lsmseg-prompts/run", "version": 1}', "lacks the field 'name'"),
        ('{"format": "lsmseg-prompts/run", "version": 2}', "lacks the field 'name'"),
        (
            '{"format": "lsmseg-prompts/comparison", "version": 2, "name": 1, "created": ""}',
            "a wrong value in the field 'name'",
        ),
    ],
)
def test_a_folder_that_is_no_run_is_refused(tmp_path: Path, content: str | None, says: str) -> None:
    if content is not None:
        (tmp_path / "run.json").write_text(content)
    with pytest.raises(ConfigurationError, match=says) as caught:
        report(tmp_path)
    assert caught.value.exit_code == 4
    assert not (tmp_path / "report.html").exists()


def make_old(file: Path, pictures: int) -> None:
    """Turn a record into one of version 0.2, which did not say why there is no interval."""
    run = json.loads(file.read_text())
    run["version"] = 1
    for split in ("selection", "report"):
        run["benchmarks"][0][split]["pictures"] = pictures
    for table in ("single", "combinations", "candidates", "per_class"):
        for row in run[table]:
            del row["no_interval"]
    run["per_class"][0]["pictures"] = 3
    file.write_text(json.dumps(run))


def test_a_run_of_an_earlier_version_is_still_read(whole: Path) -> None:
    now = report(whole).read_text(encoding="utf-8")
    make_old(whole / "run.json", 20)
    before = (whole / "run.json").read_bytes()
    old = report(whole).read_text(encoding="utf-8")
    assert (whole / "run.json").read_bytes() == before
    assert '<p class="lead">This run is of an earlier version of lsmseg-prompts: look at' in old
    assert old.count("<tr") == now.count("<tr")
    assert "the interval lies above 0 for 3 and below 0 for 0." in old  # 4, one in 3 pictures


def test_what_an_earlier_version_claimed_of_too_few_pictures_is_not_shown(whole: Path) -> None:
    make_old(whole / "run.json", 19)
    with pytest.raises(ConfigurationError, match="of an earlier version and claims what too few"):
        report(whole)


def paths(value: Any, depth: int = 0) -> Iterator[tuple[Any, ...]]:
    """Where the fields of a record are; of lists only those of the first element."""
    if isinstance(value, dict):
        inner: list[tuple[Any, Any]] = list(value.items())
    else:
        inner = [(0, value[0])] if isinstance(value, list) and value else []
    for key, below in inner:
        yield (key,)
        if depth < 4:
            yield from ((key, *path) for path in paths(below, depth + 1))


def at(record: Any, path: tuple[Any, ...]) -> tuple[Any, Any]:
    """A copy of a record, and the part of it that holds the end of the path."""
    copy = part = json.loads(json.dumps(record))
    for key in path[:-1]:
        part = part[key]
    return copy, part


def test_a_record_with_any_field_gone_or_wrong_is_refused_or_makes_a_whole_page(
    whole: Path,
) -> None:
    """Each field of a record is taken away, and has another type, one at a time."""
    file = whole / "run.json"
    record = json.loads(file.read_text())
    refused: set[tuple[Any, ...]] = set()
    tried = list(paths(record))
    wrongs = (None, 7, "x", [], {})
    for number, path in enumerate(tried):
        for wrong in ("gone", wrongs[number % len(wrongs)]):
            copy, part = at(record, path)
            if wrong == "gone":
                del part[path[-1]]
            else:
                part[path[-1]] = wrong
            file.write_text(json.dumps(copy))
            try:
                report(whole)
            except ConfigurationError as error:
                assert ("run.json" in str(error) and "Run the ablation again" in str(error)) or (
                    path[0] in ("format", "version")
                )
                refused.add((*path, wrong) if wrong == "gone" else path)
    assert len(tried) > 150
    top = {path for path in tried if len(path) == 1}
    assert {(*path, "gone") for path in top} <= refused


@pytest.mark.parametrize("path", [("best", "prompts"), ("single", 0, "miou"), ("summary",)])
def test_what_is_missing_is_named(whole: Path, call: Any, path: tuple[Any, ...]) -> None:
    file = whole / "run.json"
    copy, part = at(json.loads(file.read_text()), path)
    del part[path[-1]]
    file.write_text(json.dumps(copy))
    done = call("report", str(whole))
    assert (done.code, done.out) == (4, "") and "Traceback" not in done.err
    assert f"lacks the field '{'.'.join(map(str, path))}'. Run the ablation again" in done.err
    file.write_text(file.read_text()[:500])
    assert call("report", str(whole)).code == 4


def test_numbers_in_cells() -> None:
    row = {"miou": 0.4678, "miou_low": 0.4494, "miou_high": 0.487, "gain": -0.0004, "seen": None}
    assert score(row, "miou") == "46.8 [44.9, 48.7]"
    assert score(row, "seen") == "-" and signed(row, "seen") == "-"
    assert signed({"gain": 0.012, "gain_low": 0.003, "gain_high": 0.02}, "gain") == (
        "+1.2 [+0.3, +2.0]"
    )


def test_a_class_name_with_dollars_is_no_formula(tmp_path: Path) -> None:
    rows = [{"name": "$x_{$", "seen": None, "baseline": 0.1, "best": 0.2}]
    assert class_plots.per_class_plot(rows, "$a$+b", tmp_path / "c.png").exists()


def test_many_classes_keep_a_plot_readable(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = [
        {"name": f"class {i}", "seen": i % 3 > 0, "baseline": rng.random(), "best": rng.random()}
        for i in range(171)
    ]
    with Image.open(class_plots.per_class_plot(rows, "color", tmp_path / "c.png")) as picture:
        assert picture.height < 3000


def test_cost_maps_show_unseen_objects_each_in_a_picture_of_its_own() -> None:
    covered = np.zeros((6, 5))
    covered[:, 0] = 0.7  # a region, seen
    covered[[1, 2], 1] = 0.1, 0.2  # an unseen object
    covered[[2, 3], 2] = 0.11, 0.12  # another
    covered[4, 3] = 0.01  # too small to be shown
    covered[0, 4] = 0.3  # a seen object
    unseen = [False, True, True, True, False]
    assert choose_classes(covered, unseen, 3) == [(3, 2), (2, 1), (0, 4)]
    assert choose_classes(covered, unseen, 4) == [(3, 2), (2, 1), (0, 4), (1, 0)]
    assert choose_classes(covered[:1], [True] * 5, 4) == [(0, 4)]
    assert choose_classes(np.zeros((3, 5)), unseen) == []


def test_segmentations_show_where_the_gain_is_largest_and_others_beside_them() -> None:
    before, after = np.full((2, 5, 3, 3), 10)
    after = before.copy()
    before[..., 0] = 0  # intersection, of 10 predicted and 10 labelled pixels
    after[:, :, 0] = [[2, 10, 0], [0, 5, 0], [0, 8, 1], [10, 0, 2], [10, 5, 0]]
    covered = np.full((5, 3), 0.3)
    covered[2, 1] = 0.01  # too small to be seen
    gain = gains(before, after, covered)
    assert gain[0].tolist() == [2 / 18, 1.0, 0.0] and gain[2].tolist() == [0.0, 0.0, 1 / 19]
    unseen = [False, True, True]
    # Class 1 has been shown in picture 0, so picture 1 does not follow.
    assert choose_pictures(gain, unseen, 4) == ([0, 3], [1, 2])
    assert choose_pictures(gain, [False] * 3, 3, 1) == ([4], [0, 1])
    assert choose_pictures(-gain, unseen, 9) == ([], [0, 1, 2, 3, 4])


def test_pictures_can_be_named() -> None:
    benchmark = FakeBenchmark(pictures=4)
    assert named(benchmark, ["report-2", "elsewhere", "report-0"]) == [2, 0]
    assert named(benchmark, None) == []
    check_named([benchmark], ["report-2"])
    check_named([benchmark], None)
    with pytest.raises(UsageError, match=r"called selection-1: .* such as report-0, report-1"):
        check_named([benchmark], ["report-2", "selection-1"])


def test_coverage_counts_scored_classes_only() -> None:
    covered = coverage(FakeBenchmark(pictures=2, class_indices=(0, 2), size=(4, 4)))
    np.testing.assert_allclose(covered, [[7 / 16, 8 / 16], [8 / 16, 7 / 16]])


def test_long_names_are_broken_after_a_plus() -> None:
    assert broken("color+shape+texture+pattern+size") == "color+shape+texture+\npattern+size"
    assert broken("name") == "name"


def test_label_maps_are_coloured_with_void_apart() -> None:
    colours = np.arange(9, dtype=np.uint8).reshape(3, 3)
    painted = colour(np.array([[0, -1], [2, 2]]), colours, (1, 2, 3))
    assert painted.tolist() == [[[0, 1, 2], [1, 2, 3]], [[6, 7, 8], [6, 7, 8]]]
