"""A run that grows while somebody looks at it."""

import http.client
import os
import re
import subprocess
import sys
import time
from urllib.parse import urlsplit

import numpy as np
import polars as pl
import pytest


def step(folder, number, gain):
    """One step of a run as TRL writes it, and its rewards."""
    rng = np.random.default_rng(number)
    frame = pl.DataFrame(
        {
            "step": [number] * 160,
            "prompt": [f"Question {i}?" for i in range(20) for _ in range(8)],
            "completion": [f"answer {number} {i}" for i in range(160)],
            "rm": rng.normal(gain, 1.0, size=160),
            "advantage": [0.0] * 160,
        }
    )
    path = folder / f"completions_{number:05d}.parquet"
    frame.write_parquet(folder / f".{path.name}")
    os.replace(folder / f".{path.name}", path)
    return path


@pytest.fixture
def watched(tmp_path):
    """`klimit watch` on an empty run: its folder and its address."""
    folder = tmp_path / "completions"
    folder.mkdir()
    command = [sys.executable, "-m", "klimit", "watch", folder, "--port", "0", "--every", "0.3"]
    process = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, text=True)
    said = process.stdout.readline()
    yield folder, re.search(r"http://127\.0\.0\.1:\d+/", said)[0], process
    process.terminate()
    process.wait(10)
    process.stdout.close()


def ask(address, path="/", host=None, method="GET"):
    """Status, headers and text of one request."""
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=10)
    connection.request(method, path, headers={"Host": host or parts.netloc})
    answer = connection.getresponse()
    found = answer.status, dict(answer.getheaders()), answer.read().decode()
    connection.close()
    return found


def resting(page):
    """How far the page is scrolled and where its prompts begin, once both rest."""
    where = "[scrollY, document.getElementById('prompts').getBoundingClientRect().top]"
    before, now = None, page.evaluate(where)
    while now != before:
        page.wait_for_timeout(300)
        before, now = now, page.evaluate(where)
    return now


def test_the_page_renews_itself_and_keeps_slider_table_and_place(visit, watched):
    folder, address, _ = watched
    page = visit(address, allowed=(address, "data:", "blob:"))
    assert "Waiting for the first rollouts" in page.locator("h1").text_content()
    step(folder, 1, 0.0)
    page.locator("#kl-number").wait_for()
    assert page.locator("#policies").count() == 0
    page.locator("#kl-number").fill("0.25")
    page.locator("#find").fill("Question 1")
    # what is read here stays under the eyes: the policies' section comes in above it
    page.evaluate("document.activeElement.blur()")
    page.evaluate("document.getElementById('prompts').scrollIntoView({behavior: 'instant'})")
    page.evaluate("scrollBy({top: 50, behavior: 'instant'})")
    height, top = resting(page)
    step(folder, 10, 0.5)
    step(folder, 20, 0.8)
    page.locator("#policies").wait_for()
    page.get_by_text("step 20", exact=True).first.wait_for()
    assert page.locator("#kl-number").input_value() == "0.25"
    assert page.locator("#find").input_value() == "question 1"
    now = resting(page)
    assert now[0] > height + 200
    assert now[1] == pytest.approx(top, abs=1)
    page.get_by_text(re.compile(r"Renewed at \d\d:\d\d:\d\d from 3 files")).wait_for()


def test_a_half_written_file_is_left_for_later(visit, watched):
    folder, address, process = watched
    step(folder, 1, 0.0)
    whole = step(folder, 10, 0.5)
    page = visit(address, allowed=(address, "data:", "blob:"))
    page.locator("#policies").wait_for()
    content = whole.read_bytes()
    half = folder / "completions_00020.parquet"
    half.write_bytes(content[: len(content) // 2])
    page.get_by_text("1 still being written").wait_for()
    half.unlink()
    step(folder, 20, 0.9)
    page.get_by_text("step 20", exact=True).first.wait_for()
    assert process.poll() is None


def test_it_serves_two_addresses_to_this_machine_under_its_own_name(watched):
    folder, address, _ = watched
    step(folder, 1, 0.0)
    port = urlsplit(address).port
    deadline = time.monotonic() + 30
    while "Waiting" in ask(address)[2] and time.monotonic() < deadline:
        time.sleep(0.2)
    status, headers, body = ask(address)
    assert status == 200
    assert "connect-src &#39;self&#39;" in body
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert ask(address, host=f"localhost:{port}")[0] == 200
    assert ask(address, host=f"evil.example:{port}")[0] == 421
    assert ask(address, host="evil.example")[0] == 421
    assert ask(address, "/version")[1]["Content-Type"].startswith("application/json")
    assert ask(address, "/../../etc/passwd")[0] == 404
    assert ask(address, "/version", method="POST")[0] == 501
    assert ask(address, method="HEAD")[2] == ""
