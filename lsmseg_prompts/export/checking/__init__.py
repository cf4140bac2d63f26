"""`export --check`: an exported file in its reader's own code, from a checkout that the user has.

`running` starts a process with a time limit. In it `child` runs one of the functions of `readers`:
each imports the reader's modules with `stand_ins` around them and notes (`recording`) what arrives
at the text encoder; `verdict` counts. docs/export.md says what of each reader is run.
"""

from lsmseg_prompts.export.checking.readers import READERS
from lsmseg_prompts.export.checking.running import CheckRequest, check
from lsmseg_prompts.export.checking.verdict import Report

__all__ = ["READERS", "CheckRequest", "Report", "check"]
