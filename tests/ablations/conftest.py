"""Fixtures that several tests of ablations share."""

from support.ablation_runs import world
from support.report_pages import whole

__all__ = ["whole", "world"]
