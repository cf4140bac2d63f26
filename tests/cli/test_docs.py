"""The documents are true: their commands run, their links lead somewhere, nothing is left out.

Commands in fenced blocks are run, document by document, in a folder with docs/example.png and a
class list. A comment before a block says otherwise:

    <!-- test: options only (why) -->    the command line is only parsed
    <!-- test: exits with 4 -->          the command is run and must exit with 4

Commands inside the text are only parsed. The README and the tutorial have tests of their own,
test_readme.py and test_tutorial.py, which run them from top to bottom.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import filter as filter_names
from fnmatch import fnmatch
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.command_line import Outcome
from support.commands import leaves, options, parse, tree

from lsmseg_model.networks.backbones.load import WEIGHTS

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
RUN = [d for d in DOCUMENTS if "lsmseg-prompts" in d.read_text("utf-8")]
NEED_WEIGHTS = ("predict", "evaluate", "ablate", "run", "recipes run")

_MARKER = re.compile(r"<!-- test: (?:(options only) \(.+\)|exits with (\d+)) -->")


@dataclass(frozen=True)
class Example:
    """A command line in a document: its arguments, and the exit code to expect (None: parse)."""

    arguments: tuple[str, ...]
    code: int | None

    def __str__(self) -> str:
        return shlex.join(("lsmseg-prompts", *self.arguments))


@cache
def examples(document: Path) -> tuple[Example, ...]:
    """The commands of a document, in its order, each once."""
    found: list[Example] = []
    fence, code, marker = None, None, None
    for line in document.read_text("utf-8").splitlines():
        if line.startswith("```"):
            fence = None if fence is not None else line[3:].strip()
            code = 0 if marker is None else None if marker[1] else int(marker[2])
            marker = None
        elif match := _MARKER.fullmatch(line):
            marker = match
        elif line.startswith("<!-- test"):
            raise ValueError(f"{document.name}: what does {line} mean?")
        elif fence is not None:
            words = shlex.split(line, comments=True) if fence == "sh" else []
            if words[:1] == ["lsmseg-prompts"]:
                found.append(Example(tuple(words[1:]), code))
        else:
            if line.strip():
                marker = None
            spans = re.findall(r"`lsmseg-prompts ([^`]+)`", line)
            spans += re.findall(r"^ {4}lsmseg-prompts (.+)", line)
            found += [Example(tuple(shlex.split(span, comments=True)), None) for span in spans]
    return tuple(dict.fromkeys(found))


@cache
def shown() -> frozenset[str]:
    """The commands that stand in the documents."""
    return frozenset(parse(example.arguments) for d in RUN for example in examples(d))


def python_blocks(document: Path) -> list[str]:
    """The ```python blocks of a document."""
    return re.findall(r"^```python\n(.*?)^```$", document.read_text("utf-8"), re.M | re.S)


def example_picture() -> None:
    """The picture of the documents where they name it, and `runs`, as a checkout has them."""
    Path("docs").mkdir()
    Path("runs").mkdir()
    Path("docs/example.png").write_bytes((ROOT / "docs" / "example.png").read_bytes())


# -- the test itself ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("frobnicate",), "no command"),
        (("store", "burn"), "no command"),
        (("--loud", "attributes"), "no option"),
        (("attributes", "--colour", "red"), "--colour"),
        (("predict", "--classes", "sky"), "pictures"),
        (("generate", "--wording", "novel"), "novel"),
        (("evaluate", "--limit", "few"), "--limit"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_wrong_commands_are_found(arguments: tuple[str, ...], says: str) -> None:
    with pytest.raises(AssertionError, match=re.escape(says)):
        parse(arguments)


def test_markers_are_understood(tmp_path: Path) -> None:
    document = tmp_path / "d.md"
    document.write_text(
        "Say `lsmseg-prompts run` or\n\n    lsmseg-prompts vocab list   # all\n\n"
        "```sh\nlsmseg-prompts attributes  # 1\n```\n"
        "<!-- test: exits with 4 -->\n```sh\nlsmseg-prompts pretrain --out o\n```\n"
        "<!-- test: options only (long) -->\n```sh\nlsmseg-prompts ablate\n```\n"
    )
    assert [(str(e).removeprefix("lsmseg-prompts "), e.code) for e in examples(document)] == [
        ("run", None), ("vocab list", None), ("attributes", 0), ("pretrain --out o", 4),
        ("ablate", None),
    ]  # fmt: skip


# -- commands ----------------------------------------------------------------------------


@pytest.mark.parametrize("document", RUN, ids=lambda d: d.name)
def test_commands_exist_with_their_options(document: Path) -> None:
    for example in examples(document):
        parse(example.arguments)


@pytest.mark.parametrize(
    "document",
    [d for d in RUN if d.name not in ("README.md", "tutorial.md")],
    ids=lambda d: d.name,
)
def test_commands_run(document: Path, call: Callable[..., Outcome]) -> None:
    example_picture()
    Path("my_classes.txt").write_text("sky\nzebra\nsofa\n")
    if document.name == "store.md":  # elsewhere `vocab new` writes it
        rows = "fence,color,white or brown\nfence,color,A fence is gray.\n"
        Path("mine.csv").write_text(f"class,attribute,text\n{rows}")
    skipped = []
    for example in examples(document):
        if example.code is None:
            continue
        if parse(example.arguments) in NEED_WEIGHTS and not any(WEIGHTS.glob("*.safetensors")):
            skipped.append(str(example))
            continue
        done = call(*example.arguments)
        assert done.code == example.code, f"{example}\n{done.out}\n{done.err}"
    if skipped:
        pytest.skip(f"the weights of lsmseg-tiny are not there: {', '.join(skipped)}")


@pytest.mark.parametrize(
    "document", [d for d in DOCUMENTS if python_blocks(d)], ids=lambda d: d.name
)
def test_python_blocks_run(
    document: Path, capsys: pytest.CaptureFixture[str], drawn_plainly: None
) -> None:
    example_picture()
    for block in python_blocks(document):
        exec(compile(block, document.name, "exec"), {})
        assert capsys.readouterr().out.strip()
    # Nothing in a checkout is changed or added, but what git ignores.
    assert {path.name for path in Path().iterdir()} <= {"docs", "runs"}
    assert [path.name for path in Path("docs").iterdir()] == ["example.png"]


@pytest.mark.parametrize("name", [name for name, _ in leaves()])
def test_every_command_is_documented(name: str) -> None:
    assert name in shown()
    assert f"**{name}**" in (ROOT / "docs" / "cli.md").read_text("utf-8")


def test_every_option_is_documented() -> None:
    text = (ROOT / "docs" / "cli.md").read_text("utf-8")
    told = set(re.findall(r"(?<![\w-])--?[a-z][\w-]*", text)) | {"--help"}
    lacking = {name: options(one) - told for name, one in [("", tree()), *leaves()]}
    assert {name: sorted(some) for name, some in lacking.items() if some} == {}


def test_every_exit_code_is_documented() -> None:
    from lsmseg_model.errors import LsmsegModelError
    from lsmseg_prompts.errors import LsmsegPromptsError

    rows = re.findall(r"^\| (\d+) \|", (ROOT / "docs" / "cli.md").read_text("utf-8"), re.M)
    raised = {
        error.exit_code
        for base in (LsmsegPromptsError, LsmsegModelError)
        for error in (base, *base.__subclasses__())
    }
    assert {int(code) for code in rows} == raised | {0, 130, 143}


# -- what else the documents promise -----------------------------------------------------


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: d.name)
def test_links_files_and_targets_exist(document: Path) -> None:
    text = document.read_text("utf-8")
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        assert link.startswith("https://") or (document.parent / link).exists(), link
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.M))
    assert set(re.findall(r"(?:^ {4}|`)make ([a-z-]+)", text, re.M)) <= targets
    for module in re.findall(r"python -m (lsmseg_\w+(?:\.\w+)*)", text):
        assert find_spec(module), module
    for path in re.findall(r"`((?:lsmseg_prompts|lsmseg_model|ablations)/[^`]+)`", text):
        assert list(ROOT.glob(path.rstrip("/"))), path


def test_all_documents_are_linked_from_the_readme() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    assert [d.name for d in (ROOT / "docs").glob("*.md") if f"(docs/{d.name})" not in text] == []


def test_the_run_directory_is_as_the_readme_says() -> None:
    """The README's table names the files that a run leaves (test_ablate.py), and no others."""
    from support.ablation_runs import FILES

    table = re.findall(r"^\| (`.+?`) \|", (ROOT / "README.md").read_text("utf-8"), re.M)
    named = {name for cell in table for name in re.findall(r"`([^`]+)`", cell)}
    left = FILES | {"seen_unseen.png"}  # of benchmarks that tell seen classes apart
    left |= {"rounds.csv", "refined_classes.csv", "refinement.png", "refined_cost_maps.png"}
    left |= {"one_set_prompts.json", "seen_labels_prompts.json"}  # of refined runs
    assert [name for name in sorted(named) if not filter_names(left, name)] == []
    assert [file for file in sorted(left) if not any(fnmatch(file, n) for n in named)] == []


def test_ministuff_classes_are_listed() -> None:
    from lsmseg_model.data.ministuff.scenes import CLASSES

    text = (ROOT / "docs" / "ministuff.md").read_text("utf-8")
    listed: dict[bool, set[str]] = {True: set(), False: set()}
    rows = re.findall(r"^\| (seen|unseen), \w+ \((\d+)\) \| (.+) \|$", text, re.M)
    for word, count, names in rows:
        assert len(names.split(", ")) == int(count)
        listed[word == "seen"] |= set(names.split(", "))
    for seen in (True, False):
        assert listed[seen] == {name for _, name, is_seen in CLASSES if is_seen == seen}


def test_the_contact_sheet_shows_what_is_drawn_today() -> None:
    """Otherwise: python docs/draw_ministuff.py docs/ministuff.png."""
    from docs.draw_ministuff import SCALE, cell_origin
    from lsmseg_model.data.ministuff.scenes import SIDE, draw

    sheet = np.asarray(Image.open(ROOT / "docs" / "ministuff.png"))
    for number in (0, 5, 23):
        x, y = cell_origin(number, columns=3)
        shown = sheet[y : y + SIDE * SCALE : SCALE, x : x + SIDE * SCALE : SCALE]
        # Another processor may round a few pixels differently.
        assert np.abs(shown.astype(int) - draw("report", number).image).mean() < 1
    example = np.asarray(Image.open(ROOT / "docs" / "example.png"))
    assert np.abs(example.astype(int) - draw("report", 1).image).mean() < 1


def test_contact_sheet_names_the_classes_and_refuses(capsys: pytest.CaptureFixture[str]) -> None:
    from docs.draw_ministuff import class_names, main
    from lsmseg_model.data.ministuff.scenes import draw

    scene = draw("report", 1)
    names = dict(class_names(scene))
    assert set(names) == set(np.unique(scene.labels).tolist())
    assert (names[22], names[137]) == ("zebra *", "road")
    assert main(["sheet.png", "--columns", "2", "--rows", "1"]) == 0
    assert Image.open("sheet.png").mode == "RGB"
    assert main(["other.png", "--split", "best"]) == 2
    assert main(["other.png", "--rows", "0"]) == 2
    assert "no split 'best'" in capsys.readouterr().err
    assert not Path("other.png").exists()
