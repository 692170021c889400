"""Pictures: the artists carry the numbers of the result, axes name their units, nothing is global."""

import io
import re

import numpy as np
import pytest
from numpy.testing import assert_allclose

import klimit
from klimit.view import words
from klimit.view.colours import DARK, LIGHT

pytestmark = pytest.mark.extras("matplotlib")


@pytest.fixture(scope="module")
def rewards():
    return np.random.default_rng(1).normal(size=(40, 64)) * np.linspace(0.5, 1.5, 40)[:, None]


@pytest.fixture(scope="module")
def limit(rewards):
    return klimit.frontier(rewards, reward="rm")


@pytest.fixture
def ax():
    from klimit.view.plots import figure

    return figure()[1]


def line(ax, label):
    """Return x and y of the line with this label."""
    (found,) = [line for line in ax.lines if line.get_label() == label]
    return found.get_xdata(), found.get_ydata()


def drawn(ax):
    """Return all that is written, after drawing it."""
    ax.figure.savefig(io.BytesIO(), format="png")
    return " ".join(
        text.get_text() for text in ax.figure.findobj(match=lambda o: hasattr(o, "get_text"))
    )


def band(collection):
    """Return {x: (low, high)} of what `fill_between` drew."""
    points = {}
    for x, y in collection.get_paths()[0].vertices:
        low, high = points.get(round(x, 9), (y, y))
        points[round(x, 9)] = (min(low, y), max(high, y))
    return points


def test_the_limit_is_its_estimate_with_its_interval_as_far_as_it_is_trusted(limit, ax):
    from klimit.view.plots.frontier import LABEL, PAST

    assert limit.plot(ax, kl=4.0) is ax
    kl, gain = line(ax, LABEL)
    assert_allclose(gain, limit.gain(kl).value)
    assert kl[0] == 0
    assert kl[-1] == limit.trusted_kl < 4
    seen = band(ax.collections[0])
    for budget in kl[1::20]:
        found = limit.gain(budget)
        assert_allclose(seen[round(budget, 9)], (found.low, found.high), rtol=1e-6)
    kl, bound = line(ax, PAST)
    assert_allclose(bound[1:], limit.gain(kl[1:]).low)
    assert kl[0] == limit.trusted_kl
    assert kl[-1] == 4
    assert ax.get_xlabel() == "KL(policy || base), nats per answer"
    assert ax.get_ylabel() == "gain in rm over the base"
    assert f"trusted to {words.nats(limit.trusted_kl, down=True)}" in drawn(ax)
    assert ax.get_xlim()[0] == ax.get_ylim()[0] == 0


def test_the_plug_in_is_drawn_if_asked_for(rewards, limit, ax):
    limit.plot(ax, plugin=True)
    kl, gain = line(ax, "plug-in, low at any size")
    plugin = klimit.frontier(rewards, estimator="plugin")
    assert_allclose(gain, plugin.gain(kl).value, rtol=2e-3)


def test_best_of_n_stands_at_its_own_kl_beside_the_limit(rewards, ax):
    best = klimit.best_of_n(rewards, n=[2, 8], reward="rm")
    best.plot(ax)
    kl, gain = line(ax, "best-of-N")
    assert_allclose(kl, best.kl.value)
    assert_allclose(gain, best.gain.value)
    assert "N = 8" in drawn(ax)
    assert "the most that any method can gain" in ax.get_legend_handles_labels()[1]


def test_sizes_that_spend_alike_are_named_once(ax):
    klimit.best_of_n(np.ones((20, 8)), n=[2, 4, 8]).plot(ax)
    assert "N = " not in drawn(ax)


def test_without_samples_enough_only_a_lower_bound_is_drawn(ax):
    from klimit.view.plots.frontier import LABEL, PAST

    klimit.frontier(np.random.default_rng(2).normal(size=(20, 3))).plot(ax)
    labels = ax.get_legend_handles_labels()[1]
    assert f"{LABEL}: at least that" in labels
    assert not {LABEL, PAST} & set(labels)  # "that" would be nothing that is drawn


def test_beta_is_the_slope_of_the_limit(limit, ax):
    limit.plot(ax, "beta")
    kl, beta = line(ax, "beta that spends this KL")
    assert_allclose(beta, limit.beta(kl).value)
    assert kl[-1] <= limit.trusted_kl
    assert ax.get_ylabel() == "beta, rm per nat"


def test_bounds_lie_above_the_limit_and_each_is_named(limit, ax):
    limit.plot(ax, "bounds", kl=2.0)
    frame = limit.bounds(2.0)
    values = dict(zip(frame["bound"], frame["value"], strict=True))
    named = [line for line in ax.lines if line.get_label() in values]
    assert len(named) >= 4
    for one in named:
        assert_allclose(one.get_ydata()[-1], values[one.get_label()])


def test_a_dot_per_prompt_shows_its_headroom_and_its_share_of_the_kl(limit, ax):
    limit.plot(ax, "allocation", kl=1.0)
    frame = limit.prompts(1.0)
    dots = np.concatenate([dots.get_offsets() for dots in ax.collections])
    expected = np.stack([frame["headroom"], frame["kl"]], axis=1)
    assert_allclose(dots[np.argsort(dots[:, 0])], expected[np.argsort(expected[:, 0])])
    assert "% of the KL goes to 4 of 40 prompts" in drawn(ax)


def test_prompts_at_one_place_share_a_dot(ax):
    solved = np.array([[0, 1, 1, 1], [0, 0, 1, 1], [1, 1, 1, 0], [0, 0, 0, 0]], dtype=float)
    klimit.frontier(solved).plot(ax, "allocation", kl=0.3)
    assert sum(len(dots.get_offsets()) for dots in ax.collections) == 3
    assert "1 prompt shows one reward only" in drawn(ax)


def test_convergence_shows_the_estimate_at_each_size(limit, ax):
    found = limit.convergence(1.0)
    found.plot(ax)
    kl, plugin = line(ax, "plug-in, low at any size")
    assert_allclose(kl, [16, 32, 64])
    assert_allclose(plugin, found.plugin)
    assert ax.get_ylabel() == "gain in rm over the base, at 1 nat"
    assert "plug-in" in drawn(ax)
    assert ax.get_legend().get_window_extent().y0 >= ax.get_window_extent().y1


@pytest.mark.parametrize("how", [{"budget": "per-prompt"}, {"objective": "win-rate"}])
def test_where_all_prompts_spend_alike_the_axis_shows_their_kl_and_not_its_rounding(
    rewards, how, ax
):
    klimit.frontier(rewards, **how).plot(ax, "allocation", kl=1.0)
    assert ax.get_ylim() == pytest.approx((0.0, 2.0))


@pytest.mark.parametrize("dark", [False, True])
def test_what_is_written_in_a_picture_can_be_read(rewards, run, dark):
    from matplotlib.colors import to_rgb

    from klimit.view.plots import figure

    ax = figure(dark=dark)[1]
    klimit.best_of_n(rewards, n=[2, 4, 8]).plot(ax)
    run.plot(ax)
    assert len(ax.texts) > 4
    palette = DARK if dark else LIGHT
    allowed = {to_rgb(palette.ink), to_rgb(palette.quiet)}  # 4.5 to 1: see test_colours.py
    assert {to_rgb(text.get_color()) for text in ax.texts} <= allowed


@pytest.fixture(scope="module")
def run(rewards):
    """Four steps of a policy, and another policy whose KL is far past what is trusted."""
    from dataclasses import replace

    rng = np.random.default_rng(3)

    def placed(name, step, gain, kl):
        samples = rng.normal(gain, 1.0, size=(40, 8))
        return replace(klimit.audit(rewards, samples, kl=kl, reward="rm"), name=name, step=step)

    path = [placed("grpo", step, step / 100, (step / 100) ** 2) for step in (20, 60, 100, 120)]
    return klimit.Audits((*path, placed("_ppo", None, 1.2, 9.0)))


def test_the_plane_holds_policies_their_paths_and_best_of_n(run, ax):
    assert run.plot(ax) is ax
    marks = {line.get_label(): line for line in ax.lines}
    assert_allclose(marks["grpo"].get_xdata(), [one.kl.value for one in run][:4])
    assert_allclose(marks["grpo"].get_ydata(), [one.gain.value for one in run][:4])
    assert marks[" _ppo"].get_markerfacecolor() == LIGHT.paper  # hollow: the limit is not trusted
    joined = [
        line for line in ax.lines if len(line.get_xdata()) == 4 and line.get_linestyle() == "-"
    ]
    assert_allclose(joined[0].get_ydata(), [one.gain.value for one in run][:4])
    assert {"best-of-N", "grpo", " _ppo"} <= set(ax.get_legend_handles_labels()[1])
    assert "step 120" in drawn(ax)


def test_policies_stand_with_their_intervals(run, ax):
    run.plot(ax, best_of_n=False)
    segments = [
        segment
        for lines in ax.collections
        if hasattr(lines, "get_segments")
        for segment in lines.get_segments()
    ]
    first = run[0]
    up = [(first.kl.value, first.gain.low), (first.kl.value, first.gain.high)]
    assert any(segment.shape == (2, 2) and np.allclose(segment, up) for segment in segments)


def test_one_policy_is_told_what_it_lacks(rewards, ax):
    found = klimit.audit(rewards, np.random.default_rng(4).normal(0.6, 1, size=(40, 16)), kl=1.0)
    found.plot(ax)
    said = drawn(ax)
    assert re.search(r"\d\d % of the limit", said)
    assert re.search(r"0\.\d+ nats would do", said)


def test_a_policy_whose_kl_is_not_known_stands_at_the_least_that_it_can_be(rewards, ax):
    found = klimit.audit(rewards, np.random.default_rng(5).normal(0.6, 1, size=(40, 16)))
    found.plot(ax)
    label = "policy, its KL not known"
    (mark,) = [one for one in ax.containers if one.get_label() == label]
    assert mark.lines[0].get_xdata() == [found.least_kl.value]


def test_points_known_by_their_numbers_are_placed(limit, ax):
    limit.place(kl=np.array([0.5, 1.0]), gain=np.array([0.2, 0.4])).plot(ax)
    assert_allclose(line(ax, "point 2"), [[1.0], [0.4]])


@pytest.mark.parametrize(
    "rows",
    [
        np.random.default_rng(6).normal(size=(1, 32)),
        np.ones((5, 4)),
        np.random.default_rng(6).lognormal(sigma=1.5, size=(50, 32)),
        (np.random.default_rng(6).random((50, 16)) < 0.97).astype(float),
        [[0.0, 1.0], [1.0, 2.0, 4.0], [3.0, 3.0, 3.0, 5.0, 9.0]],
    ],
    ids=["one prompt", "constant", "heavy tail", "saturated", "few and ragged"],
)
@pytest.mark.parametrize("what", ["limit", "beta", "bounds", "allocation", "convergence"])
@pytest.mark.filterwarnings("default::klimit.EstimateWarning")
def test_whatever_the_rewards_a_picture_is_drawn_without_a_warning(rows, what, ax):
    limit = klimit.frontier(rows)
    limit.plot(ax, what)
    assert len(drawn(ax)) > 20


def test_no_setting_of_matplotlib_is_changed(limit, run):
    import matplotlib as mpl

    from klimit.view import plots

    before = dict(mpl.rcParams)
    figure, ax = plots.figure()
    limit.plot(ax)
    plots.save(figure, io.BytesIO(), "svg")
    assert dict(mpl.rcParams) == before


def test_axes_of_the_caller_keep_their_names_and_their_frame(limit):
    from matplotlib.figure import Figure

    ax = Figure().add_subplot()
    ax.set_xlabel("nats")
    limit.plot(ax, label="my base", color="black")
    limit.plot(ax, label="another", color="red", kl=1.0)
    assert ax.get_xlabel() == "nats"
    assert ax.spines["top"].get_visible()
    assert line(ax, "my base")[0][-1] == limit.trusted_kl
    assert line(ax, "another")[0][-1] == 1.0


def test_without_axes_new_ones_are_made(limit):
    from matplotlib import pyplot as plt

    plt.switch_backend("agg")
    before = plt.get_fignums()
    ax = limit.plot()
    assert len(plt.get_fignums()) == len(before) + 1
    plt.close(ax.figure)


def test_on_dark_paper_the_colours_are_those_for_dark(limit):
    from klimit.view import plots

    _, ax = plots.figure(dark=True)
    limit.plot(ax)
    assert ax.lines[0].get_color() == DARK.limit


@pytest.mark.parametrize("kind", ["png", "svg", "pdf"])
def test_a_picture_is_the_same_bytes_each_time_and_names_no_date(limit, kind):
    from klimit.view import plots

    files = []
    for _ in range(2):
        figure, ax = plots.figure()
        limit.plot(ax)
        file = io.BytesIO()
        plots.save(figure, file, kind)
        files.append(file.getvalue())
    assert files[0] == files[1]
    assert len(files[0]) > 5000
    assert not re.search(rb"20\d\d-\d\d-\d\d|CreationDate", files[0])


def test_names_that_would_steer_a_formula_or_a_legend_are_shown_as_they_are(rewards, ax):
    name = "_$\\frac{1}{0$ \x1b[31m 報酬"
    klimit.frontier(rewards, reward=name).plot(ax)
    klimit.audit(rewards, {name: rewards[:, :8]}, kl=0.1).plot(ax)
    with pytest.warns(UserWarning, match="missing from"):  # the font has no such letters
        said = drawn(ax)
    assert "_$\\frac{1}{0$ \\x1b[31m" in said
    assert "\x1b" not in said


def test_what_cannot_be_drawn_is_an_error_of_one_line(limit, ax):
    with pytest.raises(klimit.ArgumentError, match="what must be one of 'limit', 'beta'"):
        limit.plot(ax, "luck")


LONG = "Organisation/A-Reward-Model-V2-of-8B-and-more"


def places(ax):
    """Everything written outside the axes and in the legend, as (left, bottom, right, top) of the picture."""
    drawn(ax)
    legend = ax.get_legend()
    texts = [one.yaxis.label for one in ax.figure.axes] + [ax.xaxis.label]
    whole = ax.figure.bbox
    boxes = [one.get_window_extent() for one in (*texts, *([legend] if legend else []))]
    return [(b.x0 / whole.width, b.y0 / whole.height, b.x1 / whole.width, b.y1 / whole.height)
            for b in boxes]  # fmt: skip


@pytest.mark.filterwarnings("error")
def test_long_names_stay_in_the_picture(rewards, ax):
    gold = rewards + np.random.default_rng(7).normal(size=rewards.shape)
    found = klimit.hacking({LONG: rewards, f"{LONG}-gold": gold}, proxy=LONG, gold=f"{LONG}-gold")
    found.plot(ax)
    assert np.min(places(ax)) >= 0
    assert np.max(places(ax)) <= 1


def test_a_line_above_the_picture_stands_above_all_that_it_has(klimit_plot):
    ax = klimit_plot(
        "--what", "allocation", "--kl", "0.5", "--title", "one title of many words " * 5
    )
    drawn(ax)
    above = ax.figure._suptitle.get_window_extent()
    left = ax._left_title.get_window_extent()
    assert not above.overlaps(left)
    assert 0 <= above.x0 < above.x1 <= ax.figure.bbox.width


@pytest.fixture
def klimit_plot(tmp_path, monkeypatch, rewards):
    """Run `klimit plot` and return the axes that it drew into."""
    import polars as pl

    from klimit.cli import program
    from klimit.view import plots

    path = tmp_path / "base.parquet"
    prompts, samples = rewards.shape
    ids = np.repeat(np.arange(prompts), samples)
    pl.DataFrame({"prompt_id": ids, "rm": rewards.ravel()}).write_parquet(path)

    def run(*options):
        kept = []
        monkeypatch.setattr(plots, "save", lambda figure, *_: kept.append(figure.axes[0]))
        with pytest.raises(SystemExit):
            program.main(["plot", str(path), *options, "-o", str(tmp_path / "x.png")])
        return kept[0]

    return run


def test_an_interval_without_an_upper_end_is_a_band_that_leaves_the_picture(ax):
    limit = klimit.frontier(np.random.default_rng(6).normal(size=(1, 32)))
    limit.plot(ax, kl=1.0)
    assert not np.isfinite(limit.gain(0.5).high)
    (shown,) = ax.collections
    top = shown.get_paths()[0].vertices[:, 1].max()
    assert top > 100 * ax.get_ylim()[1]
    assert ax.get_ylim()[1] < 2 * limit.gain(1.0).value


def test_a_beta_that_is_nowhere_trusted_is_dotted_and_says_so(ax):
    few = klimit.frontier(np.random.default_rng(6).normal(size=(20, 4)))
    assert few.trusted_kl == 0
    few.plot(ax, "beta")
    assert ax.lines[0].get_linestyle() != "-"
    assert "not trusted" in drawn(ax)


def test_hollow_dots_are_explained_where_there_are_no_others(ax):
    few = klimit.frontier(np.random.default_rng(6).normal(size=(20, 4)))
    few.plot(ax, "allocation", kl=0.5)
    assert "the same" not in drawn(ax)
    assert "its area is its part of the gain; its samples do not reach" in drawn(ax).replace(
        "\n", " "
    )


def test_every_picture_of_win_rates_says_that_they_are(rewards, ax):
    found = klimit.frontier(rewards, reward="rm", objective="win-rate")
    found.plot(ax, "convergence", kl=0.5)
    assert ax.get_ylabel() == "gain in win rate over 1/2, at 0.5 nats"
