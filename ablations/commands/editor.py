"""A sentence from the command line, a file, stdin or the user's editor."""

import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from lsmseg_prompts.errors import ConfigurationError, UsageError
from lsmseg_prompts.files import read_named


def text_from(text: str | None, file: Path | None, now: str, title: str) -> str:
    """`text`, else what is in `file` ("-": stdin), else what the editor makes of `now`.

    Raises UsageError for both or, away from a terminal, neither; ConfigurationError for a file that
    cannot be read and an editor that does not start.
    """
    if text is not None and file is not None:
        raise UsageError("Give --text or --file, not both.")
    if text is not None:
        return text
    if file is not None:
        if str(file) != "-":
            data = read_named(file, "sentence")
        elif sys.stdin:
            data = sys.stdin.buffer.read()
        else:  # closed by the caller
            data = b""
        try:
            return data.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise UsageError(f"{file} is not text in UTF-8: save the sentence as such.") from None
    if not sys.stdin or not sys.stdin.isatty():
        raise UsageError('Give the new sentence with --text "..." or --file (- is stdin).')
    return _edited(now, title)


def _edited(now: str, title: str) -> str:
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "description.txt")
        path.write_text(f"{now}\n\n# {title}: one sentence of at most 77 tokens.\n", "utf-8")
        try:
            done = subprocess.run([*shlex.split(editor), str(path)], check=False)
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                f"The editor {editor!r} cannot be started: set EDITOR, or use --text."
            ) from error
        if done.returncode:
            raise ConfigurationError(f"The editor ended with {done.returncode}: nothing changed.")
        lines = path.read_text("utf-8").splitlines()
    given = " ".join(line for line in lines if not line.startswith("#")).strip()
    if given == now:
        raise UsageError("The text is the same as before: nothing changed.")
    return given
