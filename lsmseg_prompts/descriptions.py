"""Stage 2: from classes and attributes to descriptions in the attribute store.

`generate` asks an LLM for the cells that are missing and files the answers; `load` gives the
descriptions a prompt set is built from.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from lsmseg_prompts.attributes import ATTRIBUTES, PSEUDO_ATTRIBUTES, canonical
from lsmseg_prompts.cleaning import clean
from lsmseg_prompts.clip_tokens import count_tokens
from lsmseg_prompts.errors import ConfigurationError, ProviderError, UsageError
from lsmseg_prompts.lint import check_text, lint
from lsmseg_prompts.llm.base import LLM, Reply, Request
from lsmseg_prompts.llm.registry import make_llm
from lsmseg_prompts.templates import render, source, template_hash
from lsmseg_prompts.vocabularies import (
    ClassEntry,
    Vocabulary,
    available_vocabularies,
    load_vocabulary,
)
from lsmseg_prompts.wording import nearest

if TYPE_CHECKING:
    from lsmseg_prompts.store import Store

DESCRIBED = (*ATTRIBUTES, "typical")
"""The attributes that have descriptions: the paper's nine, and `typical`."""

Cell = tuple[int, str]
_T = TypeVar("_T")


@dataclass(frozen=True)
class Failure:
    """A cell that could not be filled, and why."""

    index: int
    name: str
    attribute: str
    reason: str


@dataclass(frozen=True)
class Summary:
    """What one `generate` did. `cells` = `asked` + `skipped`; `asked` = `done` + `failed`."""

    vocabulary: str
    llm: str
    cells: int
    asked: int
    done: int
    failed: int
    skipped: int
    failures: tuple[Failure, ...]


def check_attributes(names: Iterable[str] | None) -> tuple[str, ...]:
    """The attributes meant by `names`, without doubles; None means all that are described.

    Raises UsageError, with the nearest names, for one that no description can be had of.
    """
    if names is None:
        return DESCRIBED
    meant: dict[str, None] = {}
    for name in names:
        plain = canonical(name)
        if plain in PSEUDO_ATTRIBUTES and plain != "typical":
            raise UsageError(f"{plain!r} is a pseudo-attribute: it has no descriptions.")
        if plain not in DESCRIBED:
            raise UsageError(
                f"There is no attribute {name!r}{nearest(name, list(DESCRIBED))}; there are "
                f"{', '.join(DESCRIBED)}."
            )
        meant[plain] = None
    if not meant:
        raise UsageError(f"No attribute is named; there are {', '.join(DESCRIBED)}.")
    return tuple(meant)


def generate(
    store: Store | str | os.PathLike[str] | None,
    vocabulary: Vocabulary | str,
    llm: LLM | str = "bundled",
    attributes: Iterable[str] | None = None,
    template: str = "describe-paper",
    redo: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Summary:
    """Ask `llm` for every missing (class, attribute) cell and file what it answers.

    `store` is an open store, or the path of one (None: the usual working store). The same call
    again asks only for what is still missing or has failed; `redo` asks for everything anew.
    `progress(asked so far, to be asked)` is called after each commit. Every attempt is on
    file before its text is looked at, and what is committed survives a kill.

    Cells that fail are counted and listed in the Summary, with reasons in the store.
    Raises UsageError, ConfigurationError, StoreError; ProviderError when the provider ended
    the run (then the same call resumes it).
    """
    from lsmseg_prompts.store import open_store, working_store_path

    vocabulary = load_vocabulary(vocabulary) if isinstance(vocabulary, str) else vocabulary
    wanted = check_attributes(attributes)
    provider = make_llm(llm) if isinstance(llm, str) else llm
    if template not in ("describe-paper", "describe-thesis"):
        raise UsageError(
            f"There is no description template {template!r}: describe-paper or describe-thesis."
        )
    opened = (
        open_store(working_store_path(store))
        if store is None or isinstance(store, str | os.PathLike)
        else nullcontext(store)
    )
    with opened as file:
        return _run(_generate(file, vocabulary, provider, wanted, template, redo, progress))


async def _generate(
    store: Store,
    vocabulary: Vocabulary,
    llm: LLM,
    attributes: Sequence[str],
    template: str,
    redo: bool,
    progress: Callable[[int, int], None] | None,
) -> Summary:
    templates = {a: "typical-paper" if a == "typical" else template for a in attributes}
    with store.transaction():
        store.add_vocabulary(vocabulary)
        store.add_llm(llm.name, llm.provenance)
        for name in set(templates.values()):
            store.add_template(name, source(name), template_hash(name))
    every = [(entry.index, attribute) for entry in vocabulary.classes for attribute in attributes]
    cells = every if redo else store.missing(vocabulary, llm.name, attributes)

    failures: list[Failure] = []
    asked = 0
    for start in range(0, len(cells), llm.commit_every):
        batch = cells[start : start + llm.commit_every]
        replies = []
        for index, attribute in batch:
            request = _request(vocabulary, vocabulary[index], attribute, templates[attribute])
            replies.append((request, await llm.complete(request)))
            await asyncio.sleep(0)  # Ctrl-C gets in here, also where complete() never waits
        failures += _file(store, vocabulary, llm.name, replies)
        asked += len(batch)
        if progress is not None:
            progress(asked, len(cells))
    return Summary(
        vocabulary=vocabulary.name,
        llm=llm.name,
        cells=len(every),
        asked=asked,
        done=asked - len(failures),
        failed=len(failures),
        skipped=len(every) - asked,
        failures=tuple(failures),
    )


def _request(vocabulary: Vocabulary, entry: ClassEntry, attribute: str, template: str) -> Request:
    values = {} if attribute == "typical" else {"attribute": attribute}
    return Request(
        prompt=render(template, class_name=entry.readable, sense=entry.sense, **values),
        vocabulary=vocabulary.name,
        entry=entry,
        attribute=attribute,
        template_hash=template_hash(template),
    )


def _file(
    store: Store, vocabulary: Vocabulary, llm: str, replies: Sequence[tuple[Request, Reply]]
) -> list[Failure]:
    """Record the attempts and commit them, then judge the texts and fill the cells."""
    attempts = []
    with store.transaction():
        for request, reply in replies:
            assert request.entry is not None and request.attribute is not None
            attempts.append(
                store.record_attempt(
                    vocabulary,
                    request.entry.index,
                    request.attribute,
                    llm,
                    prompt=request.prompt,
                    parameters=request.parameters,
                    template_hash=request.template_hash,
                    **reply.attempt_fields(),
                )
            )
    failures = []
    with store.transaction():
        for (request, reply), attempt in zip(replies, attempts, strict=True):
            assert request.entry is not None and request.attribute is not None
            if reply.error_scope == "run":
                continue
            text, tokens, reason = judge(reply, request.entry)
            store.put_description(
                vocabulary,
                request.entry.index,
                request.attribute,
                llm,
                request.template_hash,
                text or None,
                tokens,
                status="failed" if reason else "done",
                reason=reason,
                attempt=attempt,
            )
            if reason:
                entry = request.entry
                failures.append(Failure(entry.index, entry.name, request.attribute, reason))
    for _, reply in replies:
        if reply.error_scope == "run":
            raise ProviderError(
                f"{llm} ended the run: {reply.error_message or reply.error_class}; what came back "
                "before is kept, and the same command goes on from there."
            )
    return failures


def judge(reply: Reply, entry: ClassEntry) -> tuple[str, int, str | None]:
    """Clean a reply and decide: (sentence, its CLIP tokens, why it is rejected or None)."""
    if reply.text is None:
        return "", 0, reply.error_message or reply.error_class or "nothing came back"
    text = clean(reply.text).text
    reason = None
    if reply.finish_reason == "length":
        reason = "the reply was cut off at the provider's limit"
    elif not text:
        reason = "the reply is empty"
    elif broken := check_text(text, entry):
        reason = "; ".join(message for _, message in broken)
    return text, count_tokens(text), reason


def load(
    vocabulary: Vocabulary | str,
    llm: str = "bundled",
    attributes: Iterable[str] | None = None,
    store: str | os.PathLike[str] | None = None,
    require: bool = True,
) -> dict[Cell, str]:
    """The descriptions by `llm` of a vocabulary: (class index, attribute) -> sentence.

    They come from the working store (`store`: its path, None for the usual one), where it
    exists. What `bundled` lacks there is taken from the shipped store; nothing is written.

    With `require`, cells without a description raise ConfigurationError that says which
    command makes them. Raises UsageError and StoreError.
    """
    from lsmseg_prompts.store import open_store_readonly, working_store_path

    vocabulary = load_vocabulary(vocabulary) if isinstance(vocabulary, str) else vocabulary
    wanted = check_attributes(attributes)
    path = working_store_path(store)
    found: dict[Cell, str] = {}
    if Path(path).exists():
        with open_store_readonly(path) as file:
            found = file.descriptions(vocabulary, llm)
    if llm == "bundled":
        found = {**_bundled(vocabulary, wanted), **found}
    else:
        make_llm(llm) if not found else None
    lacking = [
        (entry, attribute)
        for entry in vocabulary.classes
        for attribute in wanted
        if (entry.index, attribute) not in found
    ]
    if lacking and require:
        entry, attribute = lacking[0]
        own = vocabulary.name in available_vocabularies()
        raise ConfigurationError(
            f"{len(lacking)} of {len(vocabulary) * len(wanted)} descriptions by {llm} are missing "
            f"(first: {attribute} of {entry.readable!r}): run `lsmseg-prompts generate --llm {llm} "
            f"--vocab {vocabulary.name if own else 'FILE'}` and see what it says about them."
        )
    return {
        (entry.index, attribute): found[entry.index, attribute]
        for entry in vocabulary.classes
        for attribute in wanted
        if (entry.index, attribute) in found
    }


def show(
    vocabulary: Vocabulary,
    name: str,
    llm: str = "bundled",
    attributes: Iterable[str] | None = None,
    store: str | os.PathLike[str] | None = None,
) -> list[dict[str, Any]]:
    """The filled cells of one class, failed ones included, as rows (see Store.cells).

    Those of the working store, and what `bundled` lacks there from the shipped store. Raises
    UsageError for an unknown class, ConfigurationError if there is nothing to show.
    """
    from lsmseg_prompts.store import open_store_readonly, shipped_store_path, working_store_path

    entry = vocabulary.find(name)
    wanted = check_attributes(attributes)
    paths = [working_store_path(store), *([shipped_store_path()] if llm == "bundled" else [])]
    rows: dict[str, dict[str, Any]] = {}
    for path in reversed(paths):
        if path.exists():
            with open_store_readonly(path) as file:
                file.check_vocabulary(vocabulary)
                found = file.cells(vocabulary, llm, wanted, entry.index)
            rows |= {row["attribute"]: row for row in found}
    if not rows:
        raise ConfigurationError(
            f"There is no description of {entry.readable!r} by {llm}: run `lsmseg-prompts generate "
            f"--llm {llm} --vocab {vocabulary.name}`."
        )
    return [rows[attribute] for attribute in wanted if attribute in rows]


def lint_store(
    vocabularies: Iterable[str] | None = None,
    llm: str = "bundled",
    store: str | os.PathLike[str] | None = None,
) -> tuple[int, list[dict[str, Any]]]:
    """Lint every description there is by `llm`: (how many, findings as rows).

    Keys of a row: vocabulary, class, attribute, rule, message, text. `vocabularies` default to
    those that ship inside.
    """
    count = 0
    rows = []
    for name in available_vocabularies() if vocabularies is None else vocabularies:
        vocabulary = load_vocabulary(name)
        cells = load(vocabulary, llm, None, store, require=vocabularies is not None)
        count += len(cells)
        for finding in lint(cells, vocabulary):
            rows.append(
                {
                    "vocabulary": vocabulary.name,
                    "class": vocabulary[finding.index].name,
                    "attribute": finding.attribute,
                    "rule": finding.rule,
                    "message": finding.message,
                    "text": cells[finding.index, finding.attribute],
                }
            )
    return count, rows


def _bundled(vocabulary: Vocabulary, attributes: Sequence[str]) -> dict[Cell, str]:
    from lsmseg_prompts.llm.bundled import Bundled

    bundled = Bundled()
    found: dict[Cell, str] = {}
    for entry in vocabulary.classes:
        for attribute in attributes:
            try:
                found[entry.index, attribute] = bundled.answer(vocabulary.name, entry, attribute)
            except UsageError:
                break  # no shipped class has this name: none of its cells can be had
    return found


def _run(work: Coroutine[Any, Any, _T]) -> _T:
    """asyncio.run, also inside a notebook, where a loop is running already."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(asyncio.run, work).result()
