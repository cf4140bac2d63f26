"""What a job's process runs: the command line as it is, and then how it ended is written down.

It is started by its path, `python -P job_process.py FOLDER CLI WORDS...`, so that nothing in the
folder where the studio was opened is imported in place of the toolkit.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
from pathlib import Path

EXIT = "exit"  # the file of a job's folder that holds its exit code


def main(folder: Path, program: Path, words: list[str]) -> int:
    """Run the command line; returns its exit code, which stands in the file EXIT too."""
    # A shell that starts the studio in the background lets it ignore Ctrl-C, and its children too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.path.insert(0, str(program.parent))
    sys.argv = [str(program), *words]
    code = 1
    try:
        runpy.run_path(str(program), run_name="__main__")
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 0 if stop.code is None else 1
    except KeyboardInterrupt:
        code = 130
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        temporary = folder / f".{EXIT}"
        temporary.write_text(str(code))
        os.replace(temporary, folder / EXIT)
    return code


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]))
