"""`export --check`: what arrives at a reader's text encoder, counted in its own code.

Here the readers are made up (tests/support/tiny_checkouts.py); tests/prompts/test_readers.py runs
the real ones, where they are.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from support.command_line import refused
from support.tiny_checkouts import CHECKOUTS, make

from lsmseg_prompts.errors import ConfigurationError, UsageError
from lsmseg_prompts.export.checking import READERS, CheckRequest, Report, check, running
from lsmseg_prompts.export.checking.child import checked
from lsmseg_prompts.export.checking.running import commit_of
from lsmseg_prompts.vocabularies import ClassEntry, Vocabulary

NAMES = ("zebra", "plant")
TEXTS = [["A zebra is black and white."], ["A plant is green."]]
LONG = "A zebra has " + "stripes and " * 40 + "a tail."


def written(format: str, texts: Sequence[Sequence[str]]) -> str:
    """The texts as each reader's file has them, with whatever commas they hold."""
    if format in ("fc-clip", "maft"):
        return "".join(f"{i}:{t}\n" for i, (t,) in enumerate([["background"], *texts]))
    if format == "mmseg":
        return f"text_vocabulary = {[text for (text,) in texts]!r}\n"
    if format == "open_clip":
        return json.dumps({"classnames": [text for (text,) in texts], "templates": ["{}"]})
    by_name = dict(zip(NAMES, texts, strict=True))
    if format == "clip-benchmark":
        return json.dumps({"voc2007": by_name})
    return json.dumps(by_name if format in ("cupl", "dclip") else [t for (t,) in texts])


def run(
    format: str, texts: Sequence[Sequence[str]], vocabulary: str = "voc-20", **more: Any
) -> Any:
    """What the child says of a file with the texts, in this process."""
    checkout = make(format, Path(format), more.get("without", ""))
    file = Path("file").resolve()
    file.write_text(more.get("content", written(format, texts)))
    folder = Path(f"in-{format}").resolve()
    folder.mkdir()
    asked = {
        "format": format,
        "checkout": str(checkout.resolve()),
        "commit": "abc1234",
        "file": str(file),
        "vocabulary": vocabulary,
        "classes": [
            [name, name, *names] for name, names in zip(NAMES, ((), ("flower",)), strict=True)
        ],
        "texts": texts,
    }
    before = (set(sys.modules), Path.cwd(), list(sys.meta_path))
    done = checked(asked, folder)
    assert (Path.cwd(), list(sys.meta_path)) == before[1:]
    assert {
        n for n in sys.modules if n.partition(".")[0] in ("cat_seg", "fcclip", "mmseg")
    } == set()
    return done if "lacks" in done else Report(**done)


def counts(report: Report) -> tuple[int, int, int, int]:
    return report.arrived, report.cut, report.split, report.missing


def test_every_reader_has_a_made_up_checkout() -> None:
    assert set(CHECKOUTS) == set(READERS)


@pytest.mark.parametrize("format", READERS)
def test_texts_that_arrive(format: str) -> None:
    report = run(format, TEXTS)
    assert counts(report) == (2, 0, 0, 0) and report.good and report.over == 0
    assert (report.reader, report.commit) == (READERS[format].project, "abc1234")
    assert "black and white" in report.example


@pytest.mark.parametrize("format", READERS)
def test_texts_that_are_too_long(format: str) -> None:
    """Cut, or refused with the reader's own words."""
    report = run(format, [[LONG], TEXTS[1]])
    raises = format in ("cat-seg", "dclip")
    assert counts(report) == ((1, 0, 0, 1) if raises else (1, 1, 0, 0))
    assert bool(report.refused) == raises and ("is too long" in report.refused) == raises
    assert not report.good and report.longest > 77 and report.over >= 1


@pytest.mark.parametrize("format", ["cat-seg", "sed", "fc-clip", "maft"])
def test_texts_that_are_split(format: str) -> None:
    texts = [["A zebra has a mane, round ears and stripes."], TEXTS[1]]
    assert counts(run(format, texts)) == (1, 0, 1, 0)


@pytest.mark.parametrize("format", ["cat-seg", "sed"])
def test_a_comma_without_a_space_is_not_split(format: str) -> None:
    texts = [["A zebra has a mane, round ears and stripes."], TEXTS[1]]
    content = json.dumps([text.replace(", ", ",") for (text,) in texts])
    assert counts(run(format, texts, content=content)) == (2, 0, 0, 0)


def test_a_full_width_comma_is_not_split() -> None:
    texts = [["A zebra has a mane, round ears and stripes."], TEXTS[1]]
    content = (
        "0:background\n1:A zebra has a mane\uff0c round ears and stripes.\n2:A plant is green.\n"
    )
    report = run("fc-clip", texts, content=content)
    assert counts(report) == (2, 0, 0, 0)
    assert report.notes == (
        "By their names it takes 0 of 2 classes for seen in training; with its own file 1.",
    )


def test_the_mask_beside_the_file_is_counted() -> None:
    Path("file.seen.json").write_text("[1, 0, 1]")
    (note,) = run("maft", TEXTS).notes
    assert note.endswith("own file 1, by the mask in file.seen.json 2, which has 3 entries.")


def test_a_vocabulary_without_a_loader() -> None:
    content = "1:A zebra is black and white.\n2:A plant is green.\n"
    report = run("fc-clip", TEXTS, "mine", content=content)
    assert counts(report) == (2, 0, 0, 0)
    assert report.notes == ("It has no loader for mine: the lines were given as a new data set's.",)


def test_what_the_readers_code_says_when_it_stops() -> None:
    report = run("fc-clip", TEXTS, content="0:background\n1:A zebra is black and white.\n")
    assert counts(report) == (0, 0, 0, 2) and report.refused == "AssertionError: 2"
    raw = json.dumps(dict(zip(NAMES, TEXTS, strict=True)))
    assert "Templates not specified" in run("clip-benchmark", TEXTS, content=raw).refused


def test_names_that_the_reader_has_otherwise() -> None:
    assert run("cat-seg", TEXTS).unmatched == ()  # its list calls plant "plant, flower"
    assert run("san", TEXTS).unmatched == ("1 is 'bush', here 'plant'",)
    assert run("mmseg", TEXTS, "pc-59").unmatched == ("1 is 'bush', here 'plant'",)
    assert run("clip-benchmark", TEXTS).unmatched == ("'potted plant' of its own",)
    other = json.dumps({"zebra": TEXTS[0], "tree": TEXTS[1]})
    report = run("cupl", TEXTS, content=other)
    assert report.unmatched == ("plant", "'tree' of the file") and counts(report) == (1, 0, 0, 1)
    assert report.refused == "KeyError: 'plant'"


def test_class_names_that_mmsegmentation_refuses() -> None:
    content = written("mmseg", TEXTS) + f"metainfo = dict(classes={NAMES!r})\n"
    assert "is not a subset" in run("mmseg", TEXTS, "pc-59", content=content).refused


@pytest.mark.parametrize(
    ("format", "lost"),
    [
        ("cat-seg", "get_text_embeds"),
        ("sed", "class_embeddings"),
        ("fc-clip", "prepare_class_names_from_metadata"),
        ("maft", "get_text_classifier"),
        ("san", "get_classifier_by_dataset_name"),
        ("mmseg", "template_encode"),
        ("open_clip", "build_zero_shot_classifier"),
        ("cupl", "zeroshot_classifier_gpt"),
        ("dclip", "compute_description_encodings"),
        ("clip-benchmark", "zero_shot_classifier"),
    ],
)
def test_a_checkout_of_another_version(format: str, lost: str) -> None:
    assert lost in run(format, TEXTS, without=lost)["lacks"]


# -- the command and the process ------------------------------------------------------------


def request(format: str, checkout: str | Path, texts: Any = TEXTS) -> CheckRequest:
    """A check of a file of two classes."""
    entries = tuple(ClassEntry(index, name, name) for index, name in enumerate(NAMES))
    file = Path("file")
    file.write_text(written(format, texts))
    return CheckRequest(Path(checkout), file, format, Vocabulary("mine", "Mine", entries), texts)


@pytest.mark.slow
@pytest.mark.process
def test_a_process_of_its_own() -> None:
    assert check(request("san", make("san", Path("SAN")))).good
    checkout = make("cupl", Path("CuPL"), without="zeroshot_classifier_gpt")
    with pytest.raises(
        ConfigurationError, match=r"is not CuPL as .* has no zero.*\. file is writt"
    ):
        check(request("cupl", checkout))
    assert Path("file").exists()


@pytest.mark.process
def test_code_that_does_not_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "TIME_LIMIT", 0.2)
    with pytest.raises(ConfigurationError, match=r"DCLIP took longer than 0 seconds\. file is"):
        check(request("dclip", make("dclip", Path("DCLIP"))))


def test_code_that_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "_run", lambda *_: "Traceback\nSegmentation fault\n")
    with pytest.raises(
        ConfigurationError, match=r"did not come to its end: Segmentation fault\. f"
    ):
        check(request("san", make("san", Path("SAN"))))


def test_a_folder_that_is_not_there_and_a_format_without_a_reader() -> None:
    with pytest.raises(ConfigurationError, match=r"There is no folder .*nowhere: give --check"):
        check(request("san", "nowhere"))
    with pytest.raises(ConfigurationError, match=r"is not SAN as MendelXu/SAN has it .* no san/"):
        check(request("san", "."))
    with pytest.raises(UsageError, match=r"No reader of the format native can be run: choose"):
        check(request("native", "."))


def test_the_readers_code_gets_no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    monkeypatch.setenv("HF_TOKEN", "hf-1")
    assert not {"sk-1", "hf-1"} & set(running._without_keys().values())


def test_the_commit_of_a_checkout() -> None:
    assert commit_of(Path()) == ""


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reader's code runs in this process."""

    def run_here(ask: Path, reply: Path, *_: object) -> str:
        reply.write_text(json.dumps(checked(json.loads(ask.read_text()), ask.parent)))
        return ""

    monkeypatch.setattr(running, "_run", run_here)


EXPORT = ("export", "--vocab", "camvid", "--attributes", "color", "-o", "a.json", "--check")


def test_an_export_is_checked(call, here: None) -> None:
    result = call(*EXPORT, str(make("cupl", Path("CuPL"))), "--format", "cupl")
    assert (result.code, result.out) == (0, "a.json\n")
    counted = "CuPL reads a.json: 11 of 11 texts arrive; 0 cut, 0 split, 0 missing. The longest of"
    assert counted in result.err and "\nThe longest: " in result.err


def test_an_export_that_does_not_arrive_is_kept(call, here: None) -> None:
    checkout = make("cupl", Path("CuPL"))
    script = checkout / "classify_imagenet.py"
    script.write_text(script.read_text().replace("(prompts[textnames[i]]", '(["a photo"]'))
    result = call(*EXPORT, str(checkout), "--format", "cupl")
    assert result.code == 6 and Path("a.json").exists()
    assert "a.json as it is meant: of 11 texts 0 are cut, 0 split and 11 missing. The" in result.err


def test_a_checkout_that_is_not_there_leaves_nothing(call) -> None:
    refused(call(*EXPORT, "C", "--format", "cupl"), 4, "There is no folder C")
    refused(call(*EXPORT, "C"), 2, "No reader of the format native")
    card = ("export", "--attributes", "color", "--card", "a.md", "--check", "C")
    refused(call(*card), 2, "--check has no effect without a file")
    assert not Path("a.json").exists() and not Path("a.md").exists()
