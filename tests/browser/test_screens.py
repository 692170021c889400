"""What the pages look like, kept: light, dark, on a phone and on paper.

``KLIMIT_SCREENS=keep pytest tests/browser/test_screens.py`` writes them anew; look at them then.
Kept at a third of their size in a few colours, which is enough to see that something moved.
"""

import io
import os
from pathlib import Path

import numpy as np
import pytest

KEPT = Path(__file__).parent / "screens"
SHRUNK = 3
FAR = 48  # of 255, from which a pixel counts as another
MOST = 0.02  # share of such pixels


@pytest.mark.parametrize("look", ["light", "dark", "phone", "paper"])
@pytest.mark.parametrize("name", ["posts", "solved"])
def test_pages_look_as_they_did(visit, pages, name, look):
    width = {"phone": 390, "paper": 720}.get(look, 1120)
    page = visit(
        pages(name)[0], width=width, dark=look == "dark", media="print" if look == "paper" else None
    )
    if look in ("light", "phone") and page.locator("#prompt-table tbody button").count():
        page.locator("#prompt-table tbody button").first.click()
    page.evaluate("document.activeElement.blur()")
    compare(page.screenshot(full_page=True), KEPT / f"{name}-{look}.png")


def test_paper_shows_no_controls_and_is_light(visit, pages):
    page = visit(pages("posts")[0], dark=True, media="print")
    assert not page.locator("#kl").is_visible()
    assert not page.locator("#find").is_visible()
    assert page.locator("#count").is_visible()
    assert not page.locator("nav").is_visible()
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert paper == "rgb(255, 255, 255)"


def compare(shot, kept):
    """Compare in size and in pixels, or keep."""
    from PIL import Image

    seen = Image.open(io.BytesIO(shot)).convert("RGB")
    seen = seen.resize((seen.width // SHRUNK, seen.height // SHRUNK), Image.Resampling.BOX)
    if os.environ.get("KLIMIT_SCREENS") == "keep":
        seen.quantize(24, dither=Image.Dither.NONE).save(kept, optimize=True)
    before = Image.open(kept).convert("RGB")
    assert abs(seen.height - before.height) <= 0.01 * before.height
    height = min(seen.height, before.height)
    one, other = (
        np.asarray(image.crop((0, 0, image.width, height)), dtype=int) for image in (seen, before)
    )
    far = (np.abs(one - other).max(axis=2) > FAR).mean()
    assert far < MOST, f"{kept.name}: {100 * far:.1f} % of the pixels are others"
