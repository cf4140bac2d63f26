"""Rebuild the shipped attribute store from the JSON Lines: byte for byte the same every time.

python benchmarks/shipped_store.py           # write attribute_store.sqlite
python benchmarks/shipped_store.py --check   # compare only; exit 6 if it differs
"""

from __future__ import annotations

import argparse
import sqlite3
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lsmseg_prompts.attributes.samples import sampled
from lsmseg_prompts.descriptions.bundled import WRITTEN, read_bundled, read_pairs, read_samples
from lsmseg_prompts.errors import LsmsegPromptsError, RefusedError
from lsmseg_prompts.files import write_whole
from lsmseg_prompts.llm.bundled import DESCRIBED_VOCABULARIES, LLM_NAME, PROVENANCE
from lsmseg_prompts.store.descriptions import Description
from lsmseg_prompts.store.migrations import migrate
from lsmseg_prompts.store.sqlite import STORE_NAME, connect, shipped_store_path
from lsmseg_prompts.store.store import Store
from lsmseg_prompts.templates import own_query, query
from lsmseg_prompts.tokens import count_tokens
from lsmseg_prompts.vocabularies import load_vocabulary

PAGE_SIZE = 4096
UNREAD = "descriptions_of_text"
"""An index, a third of the file, that `generate` alone reads: nothing is filed in this store."""
# Bytes 96..99 of a SQLite file name the library that wrote it last. Nothing reads them (see
# "Write library version number" in SQLite's file format), so they are made the same everywhere.
_VERSION_BYTES = slice(96, 100)
_VERSION = (3_040_000).to_bytes(4, "big")


def build() -> bytes:
    """The shipped store, as the bytes of a SQLite file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / STORE_NAME
        connection = connect(path, "rwc", busy_seconds=1.0)
        connection.execute(f"PRAGMA page_size = {PAGE_SIZE}")
        # Not WAL: a WAL file could not be opened where its folder is not writable.
        connection.execute("PRAGMA journal_mode = delete")
        with Store(path, connection) as store:
            migrate(store.connection, STORE_NAME)
            with store.transaction():
                _fill(store)
            store.execute(f"DROP INDEX {UNREAD}")
            store.execute("VACUUM")
        data = bytearray(path.read_bytes())
    data[_VERSION_BYTES] = _VERSION
    return bytes(data)


def _fill(store: Store) -> None:
    store.add_llm(LLM_NAME, PROVENANCE)
    describe = query("describe-paper")
    for template in (describe, query("typical-paper"), query("contrast")):
        store.add_template(template)
    for name in DESCRIBED_VOCABULARIES:
        vocabulary = load_vocabulary(name)
        store.add_vocabulary(vocabulary)
        cells = {**read_bundled(name), **read_samples(name), **read_pairs(name)}
        for (index, attribute), text in cells.items():
            store.put_description(
                Description(
                    *(name, index, attribute, LLM_NAME, text, count_tokens(text)),
                    template_hash=(own_query(sampled(attribute)[0]) or describe).hash,
                    updated_at=WRITTEN,
                )
            )


def rebuild(path: Path | None = None) -> Path:
    """Write the shipped store anew, whole or not at all; returns its path."""
    return write_whole(path or shipped_store_path(), build())


def check(path: Path | None = None) -> None:
    """Raise RefusedError unless the store at `path` holds exactly what the JSON Lines say.

    Equal bytes settle it. Other bytes may still be the same contents, laid out by another
    version of SQLite, so then the contents are compared.
    """
    path = path or shipped_store_path()
    built = build()
    if path.exists() and path.read_bytes() == built:
        return
    with tempfile.TemporaryDirectory() as folder:
        other = Path(folder) / STORE_NAME
        other.write_bytes(built)
        if path.exists() and _dump(path) == _dump(other):
            return
    raise RefusedError(
        f"{path} differs from descriptions/bundled/*.jsonl: run `make store` and commit both."
    )


def _dump(path: Path) -> list[str]:
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True)
    try:
        return list(connection.iterdump())
    finally:
        connection.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line of this module; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python benchmarks/shipped_store.py")
    parser.add_argument("--check", action="store_true", help="compare only, write nothing")
    parser.add_argument("-o", "--output", type=Path, help="another place than the shipped store")
    options = parser.parse_args(arguments)
    try:
        if options.check:
            check(options.output)
            print("The shipped store agrees with the JSON Lines.", file=sys.stderr)
        else:
            print(rebuild(options.output))
    except LsmsegPromptsError as error:
        print(f"Error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
