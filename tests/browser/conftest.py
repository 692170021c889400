"""A real browser, the pages that it opens, and letters that look the same on every machine."""

import os
import shutil
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import klimit
from klimit.view.report import Made

ROOT = Path(__file__).parents[2]
FONTS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <dir>{fonts}</dir>
  <cachedir>{cache}</cachedir>
  <match target="pattern">
    <edit name="family" mode="assign_replace"><string>DejaVu Sans</string></edit>
  </match>
  <match target="font"><edit name="hinting" mode="assign"><bool>false</bool></edit></match>
  <match target="font"><edit name="antialias" mode="assign"><bool>true</bool></edit></match>
</fontconfig>
"""


def pytest_collection_modifyitems(items):
    """All of these need a browser and what drives it."""
    modules = ("playwright", "axe_playwright_python", "jinja2", "justhtml", "matplotlib", "PIL")
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.extras(*modules))


@pytest.fixture(scope="session")
def chromium(tmp_path_factory):
    """Debian's Chromium, with the letters that matplotlib brings and no others."""
    path = os.environ.get("KLIMIT_CHROMIUM") or shutil.which("chromium")
    if path is None:
        reason = "needs Chromium (apt-get install chromium)"
        if os.environ.get("KLIMIT_EXTRAS") == "required":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    folder = tmp_path_factory.mktemp("fonts")
    fonts = Path(find_spec("matplotlib").origin).parent / "mpl-data" / "fonts" / "ttf"
    (folder / "fonts.conf").write_text(FONTS.format(fonts=fonts, cache=folder / "cache"))
    environment = os.environ | {"FONTCONFIG_FILE": str(folder / "fonts.conf")}
    arguments = ["--no-sandbox", "--font-render-hinting=none", "--disable-lcd-text"]
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=arguments, env=environment)
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium):
    """Open a page; whatever it asks of a network, and whatever its console says, fails the test."""
    contexts = []

    local = ("file:", "data:", "blob:")

    def open_(path, *, width=1120, height=900, media=None, dark=False, allowed=local):
        context = chromium.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            accept_downloads=True,
        )
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.trouble = []
        page.on(
            "console", lambda said: page.trouble.append(said.text) if said.type == "error" else None
        )
        page.on("pageerror", lambda error: page.trouble.append(str(error)))
        page.on("dialog", lambda dialog: page.trouble.append(dialog.message) or dialog.dismiss())
        page.on(
            "request",
            lambda asked: None if asked.url.startswith(allowed) else page.trouble.append(asked.url),
        )
        if media:
            page.emulate_media(media=media)
        page.goto(path if str(path).startswith("http") else Path(path).as_uri())
        contexts.append((context, page))
        return page

    yield open_
    for context, page in contexts:
        trouble = page.trouble
        context.close()
        assert not trouble


def posts():
    """The bundled rollouts and the run that was trained on them."""
    base = klimit.read(ROOT / "examples" / "posts.parquet")
    policy = klimit.read(ROOT / "examples" / "train" / "grpo.parquet")
    made = Made(
        command="klimit report examples/posts.parquet examples/train/grpo.parquet --reward quality",
        source="examples/posts.parquet --reward quality",
    )
    return klimit.report(base, {"grpo": policy}, reward="quality", made=made)


def gold():
    """A run on a poor proxy, its steps in one dump, read in the reward that is wanted."""
    run = klimit.read(ROOT / "examples" / "train" / "overoptimized.parquet")
    return klimit.report(run, reward="lexicon", gold="quality")


def solved():
    """0/1 rewards: prompts that are never solved, and some that always are."""
    rng = np.random.default_rng(2)
    rates = np.where(rng.random(60) < 0.2, 0.0, rng.beta(1, 2, size=60))
    rates[:4] = 1.0
    rewards = (rng.random((60, 16)) < rates[:, None]).astype(float)
    return klimit.report(klimit.read(rewards))


def flat():
    """Nothing to gain at all."""
    return klimit.report(klimit.read(np.ones((30, 4))))


def few():
    """Two samples a prompt: nothing is trusted."""
    return klimit.report(klimit.read(np.random.default_rng(3).normal(size=(30, 2))))


def one():
    """A single prompt."""
    return klimit.report(klimit.read(np.random.default_rng(4).normal(size=(1, 64))))


def named():
    """Names of rewards and of a policy that are longer than a phone is wide."""
    rng = np.random.default_rng(5)
    long = {name: f"Organisation/{name}-of-a-Reward-Model-V2-of-8B" for name in ("proxy", "gold")}
    sides = []
    for shift in 0.0, 0.5:
        reward = rng.normal(shift, 1.0, size=(30, 16))
        gold = reward + rng.normal(size=reward.shape)
        ids = np.repeat(np.arange(30), 16)
        columns = {long["proxy"]: reward.ravel(), long["gold"]: gold.ravel()}
        sides.append(
            klimit.read({"prompt_id": ids, "prompt": [f"prompt {i}" for i in ids], **columns})
        )
    policy = {"grpo_" + "with_a_long_name_" * 4: sides[1]}
    return klimit.report(sides[0], policy, reward=long["proxy"], gold=long["gold"], kl=0.3)


MAKERS = {"posts": posts, "gold": gold, "solved": solved, "flat": flat, "few": few, "one": one,
          "named": named}  # fmt: skip


@pytest.fixture(scope="session")
def pages(tmp_path_factory):
    """Reports by name, made when they are first asked for: the path and what it shows."""
    folder, made = tmp_path_factory.mktemp("pages"), {}

    def get(name):
        if name not in made:
            report = MAKERS[name]()
            made[name] = report.write(folder / f"{name}.html"), report.findings
        return made[name]

    return get
