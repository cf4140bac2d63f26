"""CSV files: what a spreadsheet would run as a formula stands in them as text, and comes back."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsmseg_model import files as model_files
from lsmseg_prompts import load_vocabulary
from lsmseg_prompts.curation import sources
from lsmseg_prompts.descriptions.loading import load
from lsmseg_prompts.files import csv_text, neutral, read_cell
from lsmseg_prompts.generation.pairs import pair_cells

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("ablations", "lsmseg_prompts", "lsmseg_model")

FORMULAS = [
    '=HYPERLINK("http://a.example","zebra")', "+cmd|' /C calc'!A0", "@SUM(1;2)", "-2+3", "  =1+1",
    "\t=1", "\rzebra", "\N{NO-BREAK SPACE}=1", "\ufeff=1", "＝1+1", "'=1", "''@x", "-", "\n=1",
]  # fmt: skip
PLAIN = ["zebra", "", "a=b", "'tis", "3-2", "A zebra: +5", "\N{EN DASH}"]


def read_back(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


@pytest.mark.parametrize("text", [*FORMULAS, *PLAIN])
def test_what_begins_as_a_formula_has_an_apostrophe(text: str, tmp_path: Path) -> None:
    (row,) = read_back(csv_text([{text or "head": text, "n": -2, "f": -0.5}]))
    safe = f"'{text}" if text in FORMULAS else text
    assert row == {safe or "head": safe, "n": "-2", "f": "-0.5"}
    model_files.write_csv(tmp_path / "a.csv", [text, "n"], [[text, -2]])
    with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file)) == [[safe, "n"], [safe, "-2"]]


@given(st.text(alphabet="'=+-@a \t\r\n,;\"\N{ZERO WIDTH SPACE}＝", max_size=8))
def test_every_text_comes_back(text: str) -> None:
    assert read_cell(neutral(text)) == text and model_files.neutral(text) == neutral(text)
    (row,) = read_back(csv_text([{"text": text, "more": "m"}]))
    assert read_cell(row["text"]) == text and row["more"] == "m"


def test_our_own_files_are_read_as_they_were_written(tmp_path: Path) -> None:
    rows = [{"class": "=SUM(A1)", "attribute": "color", "text": "-2+3 stripes"}]
    found = sources.read(csv_text(rows).encode(), tmp_path / "mine.csv")
    assert found == ("csv", [sources.Named(("=SUM(A1)",), {"color": ["-2+3 stripes"]})])
    names = tmp_path / "names.json"
    names.write_text('["=SUM(A1)", "@zebra"]')
    pairs = tmp_path / "pairs.csv"
    pairs.write_text(csv_text([{"class": "=SUM(A1)", "other": "@zebra"}]))
    assert [index for index, _ in pair_cells(str(pairs), load_vocabulary(names))] == [0]


def test_the_table_of_a_new_vocabulary_is_neutral_and_comes_back(call) -> None:
    Path("farm.json").write_text('["=scarecrow", "weed"]')
    assert call("vocab", "new", "farm.json", "-o", "mine.json", "--yes").code == 0
    table = Path("mine.csv").read_text(encoding="utf-8")
    assert "\n'=scarecrow,color,\n" in table and "\n=scarecrow" not in table
    filled = table.replace("'=scarecrow,color,", "'=scarecrow,color,-2+3 straw hats")
    Path("mine.csv").write_text(filled, encoding="utf-8")
    done = call("store", "import", "mine.csv", "--vocab", "mine.json", "--llm", "mine", "--json")
    assert done.code == 0 and json.loads(done.out)["names"] == []
    texts = load("mine.json", "mine", ["color"], require=False)
    assert texts[0, "color"] == "A =scarecrow: -2+3 straw hats."


def test_no_other_place_writes_csv() -> None:
    """Whatever writes a table sends it through `csv_text` or lsmseg_model's `write_csv`."""
    writers = re.compile(r"\bcsv\.(writer|DictWriter)\b|\.to_csv\b|from csv import")
    paths = (path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    found = {str(path.relative_to(ROOT)) for path in paths if writers.search(path.read_text())}
    assert found == {"lsmseg_prompts/files.py", "lsmseg_model/files.py"}
