"""Exports: prompt sets as files other programs read.

An export refuses what its consumer would silently cut or split; `native` is this project's own
format, which loses nothing. Embeddings, which need a CLIP, are in `scoring.embeddings`.
"""

from lsmseg_prompts.export.formats import FORMATS, export
from lsmseg_prompts.export.loading import load_export
from lsmseg_prompts.export.native import export_native, load_native

__all__ = ["FORMATS", "export", "export_native", "load_export", "load_native"]
