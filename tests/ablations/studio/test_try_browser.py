"""The page Try in a browser."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.browser]


def test_the_page_opens(page: Any, served: Any, tiny: Any) -> None:
    studio = served(model=tiny)
    page.goto(studio.entry("/?x=1"))
    assert page.url == f"{studio.address}/?x=1"
    page.wait_for_function("document.querySelector('#model').textContent == 'lsmseg-tiny'")
