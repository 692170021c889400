"""The example report of the docs, and the picture of its top.

python docs/pictures/report.py     # needs klimit[report], playwright, Pillow and Chromium
"""

import io
import subprocess
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "example-report.html"
COMMAND = (
    "report examples/posts.parquet examples/train/grpo.parquet --reward quality "
    "-o docs/example-report.html"
)


def main() -> None:
    """Write both."""
    command = [sys.executable, "-m", "klimit", *COMMAND.split()]
    subprocess.run(command, cwd=ROOT, check=True)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1100, "height": 1480})
        page.goto(PAGE.as_uri())
        shot = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
        browser.close()
    shot.quantize(128, method=Image.Quantize.FASTOCTREE).save(
        ROOT / "docs" / "pictures" / "report.png", optimize=True
    )


if __name__ == "__main__":
    main()
