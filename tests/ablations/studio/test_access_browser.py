"""The door as a browser meets it."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.browser]


def test_a_password_lets_a_browser_in(
    page: Any, served: Any, tiny: Any, complaints: list[str]
) -> None:
    studio = served(model=tiny, host="0.0.0.0", password="open, sesame")
    page.goto(f"{studio.address}/texts")
    page.fill("input[type=password]", "open, sesame")
    page.click("text=Enter")
    page.wait_for_selector("nav[aria-label=Pages]")
    assert page.url.startswith(f"{studio.address}/")
    assert [one for one in complaints if "401" not in one] == []
    complaints.clear()
