"""The page Try in a browser."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.browser]


def test_the_page_opens(page: Any, served: Any, tiny: Any) -> None:
    studio = served(model=tiny)
    page.goto(studio.entry("/?opacity=70"))
    page.wait_for_selector("html[data-shown]")
    assert page.url.startswith(f"{studio.address}/?opacity=70&picture=report-0000")
    assert page.text_content("#model") == "lsmseg-tiny"
