"""Exports: prompt sets as files other programs read.

An export refuses what its consumer would silently cut or split; `native` is this project's own
format, which loses nothing.
"""

from lsmseg_prompts.export.native import export_native, load_native

__all__ = ["export_native", "load_native"]
