"""The command line: help, exit codes, what goes to stdout and stderr, and what is passed on."""

from __future__ import annotations

import inspect
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer
from support.command_line import refused

import cli
from lsmseg_prompts import __version__
from lsmseg_prompts.errors import BudgetError, ProviderError, StoreError
from tests.support.command_line import without_help

ROOT = Path(__file__).resolve().parents[2]


def commands(
    command: Any = None, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command and group, with the words that name it."""
    command = command or typer.main.get_command(cli.app)
    yield path, command
    for name, below in getattr(command, "commands", {}).items():
        yield from commands(below, (*path, name))


COMMANDS = dict(commands())


# -- help --------------------------------------------------------------------------------


def test_the_commands_are_those_promised() -> None:
    assert {" ".join(path) for path in COMMANDS if path} == {
        "run", "attributes", "generate", "ablate", "refine", "export", "report", "leaderboard",
        "studio",
        "pretrain", "train", "evaluate", "predict", "store", "store path", "store status",
        "store show",
        "store lint",
        "store edit", "store take", "store undo", "store lock", "store unlock",
        "store diff", "store import", "store backup",
        "store check", "store costs", "store captions", "store datasette",
        "llm", "llm list", "llm check",
        "vocab", "vocab list", "vocab show", "vocab check", "vocab new",
        "model", "model list", "model describe", "model export", "model pull",
        "data", "data check", "data pull", "data prepare",
        "recipes", "recipes list", "recipes show", "recipes run", "recipes cost",
    }  # fmt: skip


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_and_option_has_help(path: tuple[str, ...], call) -> None:
    command = COMMANDS[path]
    assert command.help and command.help.strip().endswith((".", ")."))
    for parameter in command.params:
        if getattr(parameter, "hidden", False):
            continue  # what a former version took
        assert getattr(parameter, "help", None), f"{' '.join(path)}: {parameter.name}"
    result = call(*path, "--help")
    assert result.code == 0 and "Usage: lsmseg-prompts" in result.out


@pytest.mark.process
def test_help_loads_nothing_heavy() -> None:
    """What keeps --help quick; benchmarks/help.py has the seconds."""
    code = (
        "import sys, cli\n"
        "sys.argv = ['lsmseg-prompts', 'ablate', '--help']\n"
        "try: cli.main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'open_clip', 'pandas', 'numpy', 'matplotlib', 'sqlite_utils', 'PIL'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)
    assert b"Usage: lsmseg-prompts" in done.stdout
    assert done.stderr.strip() == b"[]"


def test_version(call) -> None:
    assert call("--version").out.strip() == f"lsmseg-prompts {__version__}"


@pytest.mark.process
def test_shell_completion_is_offered() -> None:
    environment = os.environ | {"_LSMSEG_PROMPTS_COMPLETE": "complete_bash", "COMP_WORDS":
                                "lsmseg-prompts gen", "COMP_CWORD": "1"}  # fmt: skip
    result = subprocess.run([sys.executable, "cli.py"], cwd=ROOT, env=environment,
                            capture_output=True, text=True, check=False)  # fmt: skip
    assert result.stdout.split() == ["generate"]


# -- data on stdout, the rest on stderr --------------------------------------------------


def test_store_path(call, monkeypatch) -> None:
    assert call("store", "path").out == "runs/attribute_store.sqlite\n"
    monkeypatch.setenv("LSMSEG_PROMPTS_STORE", "/a/b.sqlite")
    assert call("store", "path").out == "/a/b.sqlite\n"
    assert call("store", "path", "--store", "c.sqlite").out == "c.sqlite\n"
    assert Path(call("store", "path", "--shipped").out.strip()).is_file()
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("attributes",), ("attributes", "--wording", "thesis"), ("vocab", "list"),
        ("vocab", "show", "camvid"), ("store", "status"), ("store", "show", "zebra"),
        ("store", "lint", "--vocab", "camvid"), ("generate", "--vocab", "camvid"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_json_is_json_and_all_of_stdout(call, arguments: tuple[str, ...]) -> None:
    result = call(*arguments, "--json")
    assert result.code == 0, result.err
    assert json.loads(result.out)
    plain = call(*arguments)
    assert plain.code == 0 and plain.out.strip()


def test_generate_then_the_store_holds_it(call) -> None:
    command = ("generate", "--vocab", "camvid", "--attributes", "color,shape")
    first = call(*command)
    assert re.search(r"^bundled +22 +0 +22 +0 +0 ", first.out, re.M)
    assert Path("runs/attribute_store.sqlite").is_file()
    again = json.loads(call(*command, "--json").out)
    assert (again["skipped"], again["done"]) == (22, 0)
    rows = json.loads(call("store", "status", "--json").out)
    assert [r["done"] for r in rows if r["store"] != "shipped"] == [22]


def test_a_users_vocabulary_is_partly_answered(call) -> None:
    Path("mine.txt").write_text("zebra\nflux capacitor\n")
    result = call("generate", "--vocab", "mine.txt", "--json")
    assert result.code == 3
    assert json.loads(result.out)["failed"] == 10
    assert "flux capacitor" in result.err and "Error: 10 of 20" in result.err


def test_export_writes_and_refuses(call) -> None:
    result = call("export", "--attributes", "size,shape", "--vocab", "camvid", "-o", "p.json")
    assert (result.code, result.out) == (0, "p.json\n")
    written = json.loads(Path("p.json").read_text())
    assert written["attributes"] == ["size", "shape"] and len(written["classes"]) == 11
    assert "not GPT-4" in written["provenance"]["descriptions"]
    before = Path("p.json").read_bytes()
    assert call("export", "--attributes", "sise", "--vocab", "camvid", "-o", "p.json").code == 2
    refused(call("export", "--attributes", "size", "-o", "p.json"), 4, "p.json exists", "--force")
    refused(call("export", "--attributes", "size", "-o", "p.json/q.json"), 4, "p.json is a file")
    assert Path("p.json").read_bytes() == before


# -- errors ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("attributes", "--llm", "qwen-max"), 4, "DASHSCOPE_API_KEY"),
        (("generate", "--llm", "oracle"), 2, "no LLM"),
        (("generate", "--attributes", "colr"), 2, "did you mean color"),
        (("generate", "--vocab", "coco-stuf"), 2, "did you mean coco-stuff"),
        (("store", "show", "zebr"), 2, "did you mean zebra"),
        (("vocab", "show", "none.txt"), 4, "none.txt"),
        (("generate", "--wording", "novel"), 2, "--wording"),
        (("frobnicate",), 2, "frobnicate"),
        (("predict", "p.png", "--classes", " , "), 2, "No class"),
        (("predict", "p.png", "--classes", "sky, Sky"), 2, "twice"),
        (("evaluate", "--prompts", "a.json", "--attributes", "color"), 2, "beside --prompts"),
        (("evaluate", "--prompts", "a.json"), 4, "a.json"),
        (("evaluate", "--data", "folder"), 2, "--vocab"),
        (("pretrain", "--data", "folder", "--out", "o"), 2, "--vocab"),
        (("store", "status", "--store", "none.sqlite"), 8, "no attribute store"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else str(value),
)
def test_errors_are_one_sentence_and_a_code(call, arguments, code: int, says: str) -> None:
    result = call(*arguments)
    assert result.code == code, result.err
    assert says in result.err and result.out == ""
    assert "Traceback" not in result.err
    if "Usage:" not in result.err:
        assert result.err.startswith("Error: ") and result.err.count("\n") == 2
    assert not Path("runs").exists()


def test_a_store_that_is_no_database(call) -> None:
    Path("s.sqlite").write_text("not a database, but long enough to be looked at " * 50)
    result = call("generate", "--vocab", "camvid", "--store", "s.sqlite")
    assert result.code == 8 and "not a SQLite database" in result.err


@pytest.mark.parametrize(
    ("error", "code"), [(ProviderError("down"), 5), (BudgetError("spent"), 7), (StoreError("s"), 8)]
)
def test_each_error_has_its_code(call, monkeypatch, error: Exception, code: int) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr("lsmseg_prompts.generation.run.generate_all", fail)
    result = call("generate")
    assert (result.code, without_help(result.err)) == (code, f"Error: {error}\n")


def test_an_unexpected_error_shows_its_traceback_only_on_request(call, monkeypatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr("lsmseg_prompts.store.store.status", fail)
    result = call("store", "status")
    assert result.code == 1 and "ZeroDivisionError: oops" in result.err
    result = call("--debug", "store", "status")
    assert result.code == 1 and result.err.startswith("Traceback")


def test_interrupted(call, monkeypatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("lsmseg_prompts.generation.run.generate_all", fail)
    result = call("-q", "generate")
    assert result.code == 130 and "Interrupted" in result.err


@pytest.mark.process
def test_a_closed_pipe_is_quiet() -> None:
    command = [sys.executable, "cli.py", "vocab", "show", "coco-stuff", "--json"]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(20) in (0, 1, -signal.SIGPIPE)


def test_texts_in_brackets_are_not_markup(capsys) -> None:
    from lsmseg_prompts.terminal import print_table

    print_table([{"text": "[bold]a [red]zebra"}])
    assert "[bold]a [red]zebra" in capsys.readouterr().out


# -- what is passed on -------------------------------------------------------------------


@pytest.fixture
def passed(monkeypatch):
    """Stand-ins for the vision room and the ablations, which keep what they are given."""
    kept: dict[str, dict[str, Any]] = {}
    rows = [{"prompt_set": "color", "miou": 0.5}]
    tables = {"single": rows, "combinations": rows, "best": rows[0]}
    picture = {"picture": Path("p.png"), "overlay": Path("o.png"), "labels": None, "error": None}
    segmented = SimpleNamespace(**picture, shares={"sky": 1.0})
    results = {
        "ablate": SimpleNamespace(**tables, directory=Path("d"), refinement=None),
        "evaluate": SimpleNamespace(rows=rows, summary={"miou": 0.5}, keys=None, note=None),
        "predict_pictures": SimpleNamespace(
            pictures=[segmented], failed=[], keys=None, skipped=[], note=None
        ),
    }
    results["run"] = results["ablate"]

    def stand_in(module: str, name: str) -> None:
        home = import_module(module)
        real = getattr(home, name)

        def keep(*request: Any, **given: Any) -> Any:
            inspect.signature(real).bind(*request, **given)  # the real one would take them
            kept[name] = {**(vars(request[0]) if request else {}), **given}
            given.get("on_ready", lambda: None)()
            return results[name]

        monkeypatch.setattr(home, name, keep)

    return kept, stand_in


def test_run_and_ablate_pass_their_options_on(call, passed, monkeypatch) -> None:
    kept, stand_in = passed
    stand_in("ablations.runs.ablate", "run")
    stand_in("ablations.runs.ablate", "ablate")
    tables = import_module("ablations.report.tables")
    monkeypatch.setattr(tables, "print_result", lambda *_: print("the tables"))
    result = call("-q", "run", "--out", "here", "--json")
    assert json.loads(result.out)["directory"] == "d"
    assert (kept["run"]["out"], kept["run"]["progress"]) == (Path("here"), False)
    result = call("ablate", "--data", "camvid", "--data-root", "x", "--attributes", "color, shape",
                  "--rule", "paper", "--limit", "3")  # fmt: skip
    assert (result.code, result.out) == (0, "the tables\n")
    given = kept["ablate"]
    assert (given["data"], given["data_root"]) == (("camvid",), ("x",))
    assert given["attributes"] == ("color", "shape")
    assert (given["rule"], given["limit"], given["progress"]) == ("paper", 3, True)
    call("ablate")
    assert kept["ablate"]["data"] == ("ministuff",)


def test_evaluate_passes_texts_on(call, passed) -> None:
    kept, stand_in = passed
    stand_in("lsmseg_model.evaluate", "evaluate")
    result = call("-q", "evaluate", "--data", "camvid", "--data-root", "x", "--attributes", "color")
    assert result.code == 0, result.err
    given = kept["evaluate"]["prompts"]
    assert (given.vocabulary, len(given.texts)) == ("camvid", 11)
    assert given.class_names[0] == "sky" and "sky" in given.texts[0][0]
    call("export", "--attributes", "shape", "--vocab", "camvid", "-o", "p.json")
    assert call("-q", "evaluate", "--prompts", "p.json").code == 0
    assert kept["evaluate"]["prompts"].texts != given.texts


def test_predict_says_which_classes_are_described(call, passed) -> None:
    kept, stand_in = passed
    stand_in("ablations.runs.predict", "predict_pictures")
    arguments = ("predict", "p.png", "--classes", "sky, sofa, flux capacitor", "-o", "o.png")
    result = call(*arguments)
    assert result.code == 0, result.err
    assert "sky: described" in result.err and "flux capacitor: by name only" in result.err
    texts = kept["predict_pictures"]["texts"]
    assert "sofa" in texts[1][0].lower() and texts[2] == ["a photo of a flux capacitor"]
    assert kept["predict_pictures"]["classes"] == ["sky", "sofa", "flux capacitor"]
    assert call("-q", *arguments, "--attributes", "name").err == ""
    assert kept["predict_pictures"]["texts"][0] == ["a photo of a sky"]
    call("export", "--attributes", "color", "--vocab", "camvid", "-o", "p.json")
    result = call(*arguments, "--prompts", "p.json")
    assert "sky: described" in result.err and "sofa: by name only" in result.err


def test_predict_reads_a_prompt_set_as_it_is_meant(call, passed) -> None:
    from lsmseg_prompts import load_vocabulary, prompt_set
    from lsmseg_prompts.export import export_native

    kept, stand_in = passed
    stand_in("ablations.runs.predict", "predict_pictures")
    camvid = load_vocabulary("camvid")
    made = prompt_set(camvid, ["color", "shape"], "ensemble")
    export_native(replace(made, weights=((1.0, -0.5),) * 11), camvid, "weighted.json")
    options = ("--vocab", "camvid", "--composition", "adaptive", "-o", "adaptive.json")
    assert call("export", "--attributes", "color,shape", *options).code == 0
    for name in ("weighted", "adaptive"):
        call("predict", "p.png", "--classes", "sofa, sky", "--prompts", f"{name}.json")
        texts = kept["predict_pictures"]["texts"]
        assert texts.class_names == ("sofa", "sky")
        assert texts.texts == (("a photo of a sofa",), made.texts[camvid.find("sky").index])
        given = (texts.weights, texts.temperature)
        assert given == ((((1.0,), (1.0, -0.5)), None) if name == "weighted" else (None, 1.0))


def test_pretrain_gets_names_descriptions_and_combinations(call, passed, monkeypatch) -> None:
    from lsmseg_model.pretrain import PretrainResult
    from lsmseg_model.training.options import PretrainRequest

    kept, _ = passed
    module = pytest.importorskip("lsmseg_model.pretrain")

    def keep(request: PretrainRequest) -> PretrainResult:
        kept["pretrain"] = request
        return PretrainResult(Path("w.safetensors"), Path("loss.csv"), 1, 0.5, 1.0)

    monkeypatch.setattr(module, "pretrain", keep)
    result = call("pretrain", "--data", "camvid", "--out", "o", "--iterations", "5")
    assert result.code == 0, result.err
    request = kept["pretrain"]
    assert (request.vocabulary_name, request.options.iterations) == ("camvid", 5)
    assert len(request.texts) == 11
    assert all(len(set(texts)) > 60 for texts in request.texts)
    assert request.texts[0][0] == "a photo of a sky"
    call("export", "--attributes", "color", "--vocab", "camvid", "-o", "p.json")
    call("pretrain", "--data", "camvid", "--out", "o", "--prompts", "p.json")
    assert all(len(texts) == 1 for texts in kept["pretrain"].texts)
