"""Tables of other libraries."""

import sys
from datetime import date, time, timedelta

import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_equal

from klimit import ArgumentError, DataError
from klimit.rollouts import read


def test_polars_frames_lazy_and_eager(samples, expected, as_dict):
    assert_equal(as_dict(read(samples)), expected)
    assert_equal(as_dict(read(samples.lazy())), expected)
    assert_equal(as_dict(read([samples.head(4), samples.tail(5)])), expected)


@pytest.mark.extras("pandas")
def test_pandas_frames(samples, expected, as_dict):
    import pandas as pd

    frame = pd.DataFrame(samples.to_dict(as_series=False))
    assert_equal(as_dict(read(frame)), expected)
    assert as_dict(read(frame), "ok")["a"] == [0.0, 0.0]
    indexed = frame.drop(columns="prompt").set_index("prompt_id")
    assert_equal(as_dict(read(indexed)), expected)
    shuffled = frame.iloc[::-1]
    assert_equal(as_dict(read(shuffled))["a"], [2.0, -1.0])


@pytest.mark.extras("pandas")
def test_pandas_frames_without_pyarrow(samples, expected, as_dict, monkeypatch):
    import pandas as pd

    frame = pd.DataFrame(samples.to_dict(as_series=False))

    def absent(*args, **kwargs):
        raise ImportError("pyarrow is required")

    monkeypatch.setattr(pl, "from_pandas", absent)
    assert_equal(as_dict(read(frame)), expected)


@pytest.mark.extras("pandas")
def test_pandas_columns_of_mixed_values_stop_nothing_but_their_own_use(samples, expected, as_dict):
    import pandas as pd

    frame = pd.DataFrame(samples.to_dict(as_series=False))
    mixed = pd.Series([0.5, "n/a", *range(7)], dtype=object)
    assert_equal(as_dict(read(frame.assign(other=mixed))), expected)
    assert read(frame.assign(ok=[True, np.float32(0.5), *[1] * 7])).rewards == ("rm", "ok")
    with pytest.raises(DataError, match="reward 'rm' holds text: 'n/a' in row 2"):
        read(frame.assign(rm=mixed), reward="rm")
    with pytest.raises(DataError, match="'rm'"):
        read(pd.concat([frame, frame[["rm"]]], axis=1))


@pytest.mark.extras("pandas")
def test_a_pandas_series_is_refused():
    import pandas as pd

    with pytest.raises(ArgumentError, match="DataFrame was expected"):
        read(pd.Series([0.5, 1.0]))


@pytest.mark.extras("pyarrow")
def test_arrow_tables(samples, expected, as_dict):
    table = samples.to_arrow()
    assert_equal(as_dict(read(table)), expected)
    assert_equal(as_dict(read(table.to_reader())), expected)


@pytest.mark.extras("datasets")
def test_datasets_with_their_selections(samples, expected, as_dict, tmp_path):
    import datasets

    data = datasets.Dataset.from_dict(samples.to_dict(as_series=False))
    assert_equal(as_dict(read(data)), expected)
    assert_equal(as_dict(read(data.select([1, 4, 0]))), {"a": [-1.0, 2.0], "b": [0.5]})
    with pytest.raises(ArgumentError, match="choose one: data\\['train'\\]"):
        read(datasets.DatasetDict({"train": data}))
    with pytest.raises(ArgumentError, match="streaming"):
        read(data.to_iterable_dataset())
    data.save_to_disk(tmp_path / "saved")
    assert_equal(as_dict(read(tmp_path / "saved")), expected)


def test_tables_that_speak_arrow_are_read_without_their_library(samples, expected, as_dict):
    class Foreign:
        def __arrow_c_stream__(self, requested_schema=None):
            return samples.__arrow_c_stream__(requested_schema)

    assert_equal(as_dict(read(Foreign())), expected)


def test_no_other_library_is_imported():
    import subprocess

    code = (
        "import sys; from klimit.rollouts import read; read([[0.5, 1.0]]).grouped();"
        "print([m for m in ('pandas', 'pyarrow', 'datasets', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_numbers_of_every_width_are_rewards(as_dict):
    for dtype in (pl.Int8, pl.UInt64, pl.Float32, pl.Decimal(10, 2), pl.Boolean):
        table = pl.DataFrame({"prompt": ["a", "a"], "rm": [1, 0]}).with_columns(
            pl.col("rm").cast(dtype)
        )
        assert as_dict(read(table)) == {"a": [1.0, 0.0]}
    categories = pl.DataFrame({"prompt": ["a", "a", "b"], "rm": np.arange(3.0)}).with_columns(
        pl.col("prompt").cast(pl.Categorical)
    )
    assert read(categories).grouped().ids == ["a", "b"]


@pytest.mark.extras("torch")
def test_tensors_of_a_reward_model_are_rewards(as_dict):
    torch = pytest.importorskip("torch")
    rewards = torch.tensor([[0.5, 1.0], [2.0, -1.0]])
    expected = {"0": [0.5, 1.0], "1": [2.0, -1.0]}
    for found in (rewards, rewards.bfloat16(), rewards.clone().requires_grad_()):
        assert as_dict(read(found), "reward") == expected
        assert as_dict(read(list(found)), "reward") == expected
        columns = {"prompt": ["0", "0", "1", "1"], "reward": found.reshape(-1)}
        assert as_dict(read(columns), "reward") == expected


@pytest.mark.parametrize("other", [timedelta(seconds=3), time(12), date(2026, 1, 1), b"\xff"])
def test_columns_of_other_kinds_beside_the_rewards_do_no_harm(other, samples, expected, as_dict):
    assert_equal(as_dict(read(samples.with_columns(other=pl.lit(other)))), expected)


def test_log_probabilities_of_tokens_may_stand_in_a_rectangle(samples):
    frame = samples.with_columns(logprob=pl.Series(np.full((9, 4), -0.5)))
    assert read(frame).frame()["logprob"].to_list() == [-2.0] * 9


def test_lists_of_lists_of_uneven_length_are_no_rewards():
    with pytest.raises(DataError, match=r"reward 'rm' holds \[1, 2\]; numbers were expected"):
        read({"rm": [[[1, 2], [3]], [[1]]]})
