"""The pictures and tables of the report: nothing is drawn that is not so, and nothing is left out unsaid."""

import html
import re

import numpy as np
import pytest

import klimit
from klimit.view import audit as audit_view
from klimit.view.report.budget import grid
from klimit.view.report.frontier_chart import frontier_chart, largest_kl
from klimit.view.report.small_charts import converging, over_steps
from klimit.view.words import together

pytestmark = pytest.mark.extras("jinja2")


def samples(shift=0.0, seed=1, prompts=24, **columns):
    """Long-form rollouts of a normal reward, 16 a prompt, without a KL."""
    ids = np.repeat(np.arange(prompts), 16)
    reward = np.random.default_rng(seed).normal(shift, 1.0, size=len(ids))
    return klimit.read({"prompt_id": ids, "rm": reward} | columns)


def picture(found):
    """The main one."""
    return frontier_chart(found, grid(found.limit, largest_kl(found), found.budgets), narrow=False)


@pytest.fixture(scope="module")
def run():
    """Thirty steps that rise and fall, the best between those that a table of twelve rows has evenly."""
    steps = [np.full(384, step) for step in range(30)]
    rewards = [
        np.random.default_rng(step).normal(1.0 - abs(step - 27) / 30, 0.3, size=384)
        for step in range(30)
    ]
    ids = np.tile(np.repeat(np.arange(24), 16), 30)
    return klimit.report(
        {"prompt_id": ids, "step": np.concatenate(steps), "rm": np.concatenate(rewards)}
    ).findings


def test_the_placement_that_the_verdict_speaks_of_has_a_row():
    audits = [
        audit
        for step in range(30)
        for audit in klimit.audit(
            samples(), {f"p{step}": samples(1.0 - abs(step - 27) / 30, seed=3)}, reward="rm"
        ).each()
    ]
    names = [line[0] for line in audit_view.cells(audits)[1]]
    assert len(names) == 12
    assert (names[0], names[-1]) == ("p0", "p29")
    assert audit_view.best(audits).label == "p27"
    assert "p27" in names


def test_a_policy_whose_kl_is_not_known_stands_at_the_least_it_can_be_with_an_arrow():
    found = klimit.report(samples(seed=7), {"ppo": samples(0.3, seed=3)}, reward="rm").findings
    least = found.main.least_kl.value
    chart = picture(found)
    (mark,) = [mark for mark in chart.marks if "policy-0" in mark.kind]
    assert mark.x == pytest.approx(chart.x.at(least))
    assert "unsure" in mark.kind
    assert mark.bars.endswith("h24m-7,-4l7,4l-7,4")
    assert f"for at least {least:.2g}" in mark.said
    assert mark.said in chart.said
    assert "ppo, KL not known" in [label.text for label in chart.labels]


def test_a_bound_ends_where_it_leaves_the_picture():
    ids = np.repeat(np.arange(20), 64)
    flat_topped = np.random.default_rng(1).uniform(size=len(ids)) ** 0.2
    chart = picture(klimit.report({"prompt_id": ids, "rm": flat_topped}).findings)
    (bound,) = [line.d for line in chart.lines if line.kind == "bound"]
    heights = [float(point.split(",")[1]) for point in bound[1:].split("L")]
    assert sum(height <= chart.y.end for height in heights) < 2


def test_an_estimate_without_an_upper_end_has_an_arrow_and_hollow_marks_are_explained():
    found = klimit.report(samples()).findings.convergence
    chart = converging(found)
    bars = [mark.bars for mark in chart.marks if mark.kind.startswith("limit")]
    assert [bar.endswith("m-4,7l4,-7l4,7") for bar in bars] == np.isinf(found.gain.high).tolist()
    assert any(np.isinf(found.gain.high))
    assert chart.said.endswith("Hollow: not trusted.")


def test_the_name_of_a_run_stands_above_its_points(run):
    chart = over_steps(run)[0]
    (label,) = chart.labels
    covered = [mark.y for mark in chart.marks if mark.x > label.x - 7 * len(label.text)]
    assert len(covered) > 1
    assert label.y < min(covered)


def test_a_long_name_leaves_the_table_of_rewards_on_the_page():
    name = "organisation/" + "a-long-name-of-a-reward-model-" * 4
    page = klimit.report(samples(**{name: np.random.default_rng(2).normal(size=384)}), reward=name)
    (heading,) = re.findall(r"<th scope=\"col\">(best-of-[^<]* by [^<]*)<", page.html)
    assert len(heading) < 40


def test_a_name_that_turns_the_direction_turns_nothing_where_it_is_said_what_was_read():
    page = klimit.report(samples(), {"po\u202elicy": samples(0.5, seed=3)}, reward="rm").html
    assert "\u202e" not in page
    assert "po\\u202elicy: read 24 prompts" in html.unescape(page)


def test_no_line_ends_before_an_equals_sign_or_after_it():
    assert together("with beta = 0.5.", "_") == "with beta_=_0.5."


def test_the_picture_names_only_what_it_shows():
    few = klimit.report(np.random.default_rng(3).normal(size=(30, 2))).html
    (key,) = re.findall(r'(?s)<figcaption class="key">(.*?)</figcaption>', few)
    assert "past trust" in key
    assert "best-of-N" not in key
    assert "with its interval" not in key
    assert "solid blue line" not in few
