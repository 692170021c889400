"""The report as a file: what it says, what it weighs, and that nothing in it can be run."""

import base64
import hashlib
import html
import json
import re
import sys

import numpy as np
import polars as pl
import pytest

import klimit
from klimit.view import limit as limit_view
from klimit.view.report.texts import as_script, clean
from klimit.view.words import sentences

pytestmark = pytest.mark.extras("jinja2")


def rows(prompts=20, samples=16, shift=0.0, seed=1, **columns):
    """Long-form rollouts of a normal reward, with texts."""
    rng = np.random.default_rng(seed)
    return klimit.read(
        {
            "prompt_id": [f"p{i}" for i in range(prompts) for _ in range(samples)],
            "prompt": [f"What is {i} + {i}?" for i in range(prompts) for _ in range(samples)],
            "completion": [f"answer {seed} {j}" for j in range(prompts * samples)],
            "rm": rng.normal(shift, 1.0, size=prompts * samples),
        }
        | columns
    )


@pytest.fixture(scope="module")
def base():
    return rows(other=np.random.default_rng(2).normal(size=320), temperature=[1.0] * 320)


@pytest.fixture(scope="module")
def report(base):
    return klimit.report(base, {"ppo": rows(samples=8, shift=0.6, seed=3)}, reward="rm", kl=0.4)


def told(page):
    """The words of the page, without its markup."""
    body = re.sub(r"(?s)<script.*?</script>|<style.*?</style>", "", page)
    text = html.unescape(re.sub(r"<[^>]+>", " ", body)).replace("\u00a0", " ")
    return " ".join(text.split())


def data(page):
    """What the page's script reads."""
    (text,) = re.findall(r'(?s)<script type="application/json" id="data">(.*?)</script>', page)
    return json.loads(text)


def test_the_page_begins_with_the_words_of_the_results(report):
    said, found = told(report.html), report.findings
    policy, limit = str(found.audits[0]), limit_view.verdict(found.limit, found.budgets)
    for line in [*sentences(policy.split("\n\n")[0]), *limit.split("\n")]:
        assert " ".join(line.split()) in said
    assert (
        said.index("ppo gained")
        < said.index("What to do next")
        < said.index("No method gets above")
    )


def test_the_same_data_give_the_same_bytes(base):
    assert klimit.report(base, reward="rm").html == klimit.report(base, reward="rm").html


def test_no_id_stands_twice_and_every_reference_has_its_target(report):
    ids = re.findall(r'\sid="([^"]+)"', report.html)
    assert len(ids) == len(set(ids))
    for name in re.findall(r'(?:for|aria-labelledby|href)="#?([a-z][a-z0-9 -]*)"', report.html):
        assert set(name.split()) <= {*ids, "icon"}


def test_the_policy_admits_the_page_s_own_script_and_style_and_nothing_else(report):
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]+)"', report.html)
    rules = {rule.split()[0]: rule.split()[1:] for rule in html.unescape(policy).split("; ")}
    assert rules["default-src"] == rules["connect-src"] == ["'none'"]
    assert rules["img-src"] == ["data:"]
    for tag, rule in (("script", "script-src"), ("style", "style-src")):
        (inside,) = re.findall(f"(?s)<{tag}>(.*?)</{tag}>", report.html)
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert rules[rule] == [f"'sha256-{digest}'"]
    assert not re.search(r'\s(style|on[a-z]+)="|https?://|url\(|@import', report.html)


def test_a_page_that_is_watched_may_ask_its_own_server_only(base):
    from klimit.view.report import Made

    live = klimit.report(base, reward="rm", made=Made(live="v1"))
    assert "connect-src &#39;self&#39;;" in live.html
    assert data(live.html)["version"] == "v1"


def test_the_table_has_a_row_per_prompt_whose_parts_add_up(report):
    found, table = report.findings, data(report.html)["prompts"]
    keys = [column["key"] for column in table["columns"]]
    frame = pl.DataFrame(table["rows"], schema=keys, orient="row")
    assert frame.height == table["total"] == 20
    assert frame["share"].sum() == pytest.approx(1.0, abs=1e-4)
    assert frame["gain"].mean() == pytest.approx(found.limit.gain(found.focus).value, rel=1e-3)
    assert frame["policy_gain"].mean() == pytest.approx(found.audits[0].gain.value, rel=1e-3)


@pytest.mark.parametrize("dump", [list, json.dumps], ids=["turns", "text"])
def test_a_conversation_is_called_by_what_was_asked_last(dump):
    texts = [f"What is {i} + {i}?" for i in range(20) for _ in range(16)]
    chats = [
        [{"role": "system", "content": "Be brief."}, {"role": "user", "content": text}]
        for text in texts
    ]
    chatty = rows().frame().drop("prompt_id").with_columns(prompt=pl.Series(map(dump, chats)))
    table = data(klimit.report(klimit.read(chatty)).html)["prompts"]
    assert {row[0] for row in table["rows"]} == set(texts)
    assert table["texts"] == [None] * 20


def test_the_best_of_n_that_is_shown_is_no_worse_than_the_draw_beside_it(report):
    texts = data(report.html)["texts"]
    assert len(texts["rows"]) == texts["total"] == 20
    for prompt, draw, best, policy in texts["rows"].values():
        assert prompt.startswith("What is")
        assert best[1] >= draw[1]
        assert policy[0].startswith("answer 3")


def test_of_many_prompts_some_have_texts_and_the_page_says_how_many():
    many = rows(prompts=1000, samples=4, seed=4)
    long = many.frame().with_columns(completion=pl.col("completion").repeat_by(200).list.join(" "))
    page = klimit.report(klimit.read(long)).html
    assert len(page.encode()) < 6_000_000
    texts = data(page)["texts"]
    assert 50 < len(texts["rows"]) < 1000
    assert f"Texts of {len(texts['rows']):,} of 1,000 prompts are in this file." in told(page)


def test_no_number_of_samples_is_promised_where_every_prompt_is_at_its_best():
    grades = np.random.default_rng(0).choice([0.0, 1.0, 2.0], p=[0.5, 0.3, 0.2], size=640)
    grid = data(klimit.report(rows(prompts=20, samples=32, rm=grades)).html)["grid"]
    past = [needed for kl, needed in zip(grid["kl"], grid["needed"], strict=True) if kl > 1.7]
    assert past
    assert set(past) == {0}  # which the page words as "none would do"


def test_forty_prompts_with_texts_stay_under_a_megabyte_and_a_half():
    base = rows(prompts=40, samples=64, completion=["word " * 1500] * 2560)
    assert len(klimit.report(base).html.encode()) < 1_500_000


def test_several_rewards_stand_side_by_side(report):
    said = told(report.html)
    assert "Several rewards" in said
    assert "best-of-8 by rm" in said


def test_gold_shows_how_much_of_the_gain_is_real():
    rng = np.random.default_rng(8)
    proxy = rng.normal(size=(40, 64))
    gold = np.where(proxy < 0.5, 1.5 * proxy, 1.5 - 1.5 * proxy) + 0.3 * rng.normal(size=(40, 64))
    page = klimit.report(klimit.read({"rm": proxy, "human": gold}), reward="rm", gold="human")
    said = told(page.html)
    assert "Proxy and gold" in said
    assert "Best-of-N by rm" in said
    assert said.index("where human is highest") < said.index("No method gets above")
    assert 'aria-labelledby="chart-proxy-title' in page.html


def test_the_table_along_the_proxy_says_what_the_command_says():
    rng = np.random.default_rng(0)
    proxy = rng.integers(0, 5, size=(60, 16)).astype(float)
    page = klimit.report(
        {"rm": proxy, "g": proxy + rng.normal(size=proxy.shape)}, reward="rm", gold="g"
    )
    share = re.search(r"  (at most \d+ %)", str(page.findings.hack))[1]
    assert f"<td>{share}</td>" in page.html.replace("\u00a0", " ")


def test_gold_that_is_known_of_few_samples_is_read_in_words():
    rng = np.random.default_rng(9)
    proxy = rng.normal(size=(60, 32))
    gold = 0.7 * proxy + rng.normal(size=(60, 32))
    gold[:, 2:] = np.nan
    found = klimit.report(klimit.read({"rm": proxy, "human": gold}), reward="rm", gold="human")
    assert "Proxy and gold" in told(found.html)
    assert "without proxy" in told(found.html)


def test_steps_of_a_run_are_found_inside_one_dump_and_drawn():
    parts = [
        rows(samples=8, shift=0.1 * step, seed=step).frame().with_columns(step=step)
        for step in (0, 10, 20)
    ]
    page = klimit.report(klimit.read(pl.concat(parts)))
    assert [one.step for one in page.findings.audits] == [10, 20]
    assert "Gain over steps" in page.html
    assert "step 0 of the run is the base." in told(page.html).lower()


def test_of_very_many_steps_some_are_placed_and_the_page_says_so(monkeypatch):
    monkeypatch.setattr("klimit.view.report.findings.STEPS", 3)
    parts = [
        rows(prompts=10, samples=4, seed=step).frame().with_columns(step=step) for step in range(8)
    ]
    found = klimit.report(klimit.read(pl.concat(parts))).findings
    assert [one.step for one in found.audits] == [1, 4, 7]
    assert "3 of 7 steps are placed, evenly apart." in found.notes


def test_a_policy_on_some_of_the_prompts_is_compared_on_those(base):
    few = rows(samples=8, shift=0.6, seed=3).filter(prompts=[f"p{i}" for i in range(12)])
    found = klimit.report(base, {"ppo": few}, reward="rm", kl=0.4).findings
    assert found.limit.samples.prompts == 12
    assert any("12 prompts that base and policies share" in note for note in found.notes)


@pytest.mark.parametrize("shape", [(30, 2), (1, 64), (5, 3)])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_little_data_still_make_a_page(shape):
    page = klimit.report(klimit.read(np.random.default_rng(5).normal(size=shape)))
    assert "What to do next" in page.html
    assert "None" not in told(page.html)
    assert "nan" not in told(page.html).split()


def test_nothing_to_gain_is_said_and_no_picture_is_drawn():
    page = klimit.report(klimit.read(np.ones((30, 4)))).html
    assert "Nothing is left to gain here" in told(page)
    assert "<svg" not in page
    assert data(page)["grid"] is None


def todo(report, source="base.parquet"):
    """What the page tells people to do, and what to type."""
    from klimit.view.report.advice import steps

    return [(step.todo, step.command) for step in steps(report.findings, source)]


def test_a_base_at_another_temperature_is_to_be_drawn_again_before_all_else():
    cold = rows(temperature=[0.7] * 320)
    assert "Draw the base again at temperature 1" in todo(klimit.report(cold))[0][0]


def test_a_policy_that_spent_too_much_is_told_to_spend_less(base):
    policy = {"ppo": rows(samples=8, shift=0.4, seed=3)}
    first, _ = todo(klimit.report(base, policy, reward="rm", kl=3.0))[0]
    assert first.startswith("Spend less KL")


def test_a_base_alone_is_to_be_planned_with_and_best_of_n_is_the_other_choice():
    said = todo(klimit.report(rows(prompts=40, samples=64)))
    assert re.fullmatch(r"Plan a run with beta = \d\.\d+\.", said[0][0])
    assert re.fullmatch(r"klimit plan base.parquet --kl \S+", said[0][1])
    assert said[1][0].startswith("Or serve best-of-")


def test_prompts_without_signal_are_to_be_looked_at():
    rewards = (np.random.default_rng(6).random((40, 16)) < 0.5).astype(float)
    rewards[:10] = 0.0
    said = dict(todo(klimit.report(klimit.read(rewards))))
    command = said["Look at the prompts without signal before training."]
    assert command == "klimit prompts base.parquet --by zero-signal"


def test_a_policy_without_kl_is_to_be_measured(base):
    said = todo(klimit.report(base, {"ppo": rows(samples=8, shift=0.4, seed=3)}, reward="rm"))
    assert any("Measure the KL of ppo" in line for line, _ in said)


def test_the_page_promises_no_number_of_samples_that_nobody_can_draw():
    rewards = np.random.default_rng(0).normal(size=(12, 4))
    page = klimit.report(klimit.read(rewards), focus=20)
    why = "No KL is trusted yet; 20 nats would take more samples than anybody can draw."
    assert why in told(page.html)


def test_gold_must_be_another_reward(base):
    with pytest.raises(klimit.ArgumentError, match="is the reward itself"):
        klimit.report(base, reward="rm", gold="rm")


def test_a_focus_must_be_a_budget(base):
    with pytest.raises(klimit.ArgumentError, match="positive number of nats"):
        klimit.report(base, reward="rm", focus=-1.0)
    assert klimit.report(base, reward="rm", focus=0.7).findings.focus == 0.7


def test_a_file_is_written_whole_or_not_at_all(report, tmp_path):
    path = report.write(tmp_path / "report.html")
    assert path.read_text(encoding="utf-8") == report.html
    assert [one.name for one in tmp_path.iterdir()] == ["report.html"]
    with pytest.raises(klimit.DataError, match="cannot be written"):
        report.write(tmp_path / "no" / "report.html")


def test_without_jinja2_the_error_says_what_to_install(base, monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(klimit.DataError, match=r"pip install 'klimit\[report\]'"):
        klimit.report(base, reward="rm")


@pytest.mark.parametrize("text", ["</script>", "<!--<script>", "a\u2028b", "\ud800", "\x00\x1b"])
def test_json_in_a_page_cannot_end_its_element(text):
    written = as_script([clean(text)])
    assert not re.search("[<\u2028\u2029\x00\x1b\ud800]", written)
    assert json.loads(written) == [clean(text)]


def test_page_and_prompt_lists_agree_on_what_is_saturated_and_on_what_gives_no_signal():
    rate = np.random.default_rng(11).choice([0.0, 0.5, 0.9, 0.95, 1.0], size=(40, 1))
    found = klimit.report(klimit.read((np.random.default_rng(12).random((40, 20)) < rate) * 1.0))
    table = data(found.html)["prompts"]
    kind = [column["key"] for column in table["columns"]].index("kind")
    for by in ("saturated", "zero-signal"):
        listed = {str(name) for name in found.findings.limit.prompts(0.5, by)["prompt_id"]}
        assert {row[0] for row in table["rows"] if by in row[kind]} == listed
        assert 0 < len(listed) < 40
    assert "at least 90 % of a prompt's samples have the best possible reward" in told(found.html)


def both(gold_shift, seed):
    """A policy whose reward rises while gold moves by `gold_shift`."""
    rng = np.random.default_rng(seed)
    human = (gold_shift + rng.normal(size=20 * 16)).tolist()
    return rows(shift=1.0 + abs(gold_shift), seed=seed, human=human)


@pytest.fixture(scope="module")
def hollow():
    base = rows(prompts=20, human=np.random.default_rng(20).normal(size=320))
    policies = {"early": both(0.6, 21), "late": both(-0.9, 22)}
    return klimit.report(base, policies, reward="rm", gold="human", kl=[0.6, 0.7])


def test_policies_are_read_in_gold_too_and_that_comes_first(hollow):
    said, found = told(hollow.html), hollow.findings
    path = klimit.hacking(
        found.base, dict(found.policies), proxy="rm", gold="human", kl=[0.6, 0.7]
    ).run  # fmt: skip
    assert found.trained.to_dict() == path.to_dict()
    first = sentences(hollow.verdict.split("\n\n")[0])
    assert first[0].startswith("early gained +1.")
    assert all(" ".join(line.split()) in said for line in first)
    assert said.index(first[0]) < said.index("How near the limit of rm") < said.index("What to do")
    assert "The policies in rm and human" in said


def test_the_policy_with_most_gold_is_to_be_used_rather_than_the_one_with_most_reward(hollow):
    first = todo(hollow)[0][0]
    assert first == "Use early rather than late."
    assert not any(line.startswith("Keep late") for line, _ in todo(hollow))


def test_where_no_policy_has_more_gold_than_the_base_none_is_to_be_used():
    base = rows(prompts=20, human=np.random.default_rng(20).normal(size=320))
    found = klimit.report(base, {"only": both(-0.9, 22)}, reward="rm", gold="human", kl=0.6)
    assert todo(found)[0][0] == "Use none of these: none shows more human than the base."


def test_the_picture_of_a_single_prompt_holds_its_gains_in_an_interval_without_an_end():
    from klimit.view.report.budget import grid
    from klimit.view.report.frontier_chart import frontier_chart, largest_kl

    found = klimit.report(rows(prompts=1, samples=64), reward="rm").findings
    chart = frontier_chart(found, grid(found.limit, largest_kl(found), found.budgets), narrow=False)
    most = found.limit.gain(found.limit.trusted_kl)
    assert not np.isfinite(most.high)
    assert chart.y.high > most.value > 0
    assert any(band.kind == "limit" for band in chart.bands)


def test_what_is_written_beside_a_line_stays_on_the_chart():
    from klimit.view.report.chart import Chart, axis

    chart = Chart(name="c", title="", said="", width=400, height=300, x=axis(0, 1, 46, 386),
                  y=axis(0, 1, 256, 20), x_label="", y_label=f"gain in {'long' * 30}")  # fmt: skip
    for place in (0.2, 0.9):
        chart.aside(place, 1.0, "trusted to 0.0 nats")
    assert [label.anchor for label in chart.labels] == ["start", "end"]
    assert len(chart.y_name) < 60
    chart.say(0.9, 0.5, "best-of-16")
    assert chart.labels[-1].x + 7 * len("best-of-16") <= 400


def test_past_trust_all_that_lies_above_what_is_sure_is_shaded():
    from klimit.view.report.budget import grid
    from klimit.view.report.frontier_chart import frontier_chart, largest_kl

    heavy = rows(prompts=20, samples=16)
    found = klimit.report(heavy, reward="rm").findings
    assert np.isinf(found.limit.gain(2 * found.limit.trusted_kl).high)
    chart = frontier_chart(found, grid(found.limit, largest_kl(found), found.budgets), narrow=False)
    (unsure,) = [band.d for band in chart.bands if band.kind == "limit unsure"]
    tops = [float(point.split(",")[1].rstrip("z")) for point in unsure[1:].split("L")]
    assert min(tops) == chart.y.end


def test_the_verdict_of_a_report_is_in_lines_of_a_hundred_characters():
    name = "a_reward_that_has_a_very_long_name"
    reward = np.random.default_rng(1).normal(size=320)
    ids = {"prompt_id": np.repeat(np.arange(20), 16)}
    policy = klimit.read(
        ids | {name: reward + 0.5, "logprob": -20 + 0.1 * reward, "ref_logprob": [-20.0] * 320}
    )
    found = klimit.report(ids | {name: reward}, {"ppo": policy}, kl=0.4).verdict
    assert name in found
    assert max(map(len, found.split("\n"))) <= 100


def test_policies_are_read_as_the_base_is():
    reward = np.random.default_rng(1).normal(size=(20, 16))
    for policies in reward + 0.5, {"policy": reward + 0.5}, klimit.read(reward + 0.5):
        found = klimit.report(reward, policies, kl=0.4)
        assert found.verdict.startswith("policy gained +0.50")


def test_rewards_that_the_page_has_no_room_for_are_named_and_curves_are_told_apart():
    rng = np.random.default_rng(1)
    many = {f"a_reward_of_many_{i}": rng.normal(size=320) for i in range(9)}
    found = klimit.report(rows(**many), reward="rm")
    assert "Not shown: a_reward_of_many_6, a_reward_of_many_7 and a_reward_of_many_8." in told(
        found.html
    )
    labels = re.findall(r'strong"[^>]*>(a_[^<]*)<', found.html)
    assert len(labels) == len(set(labels)) > 3
    assert "Not shown" not in told(
        klimit.report(rows(other=many["a_reward_of_many_0"]), reward="rm").html
    )
