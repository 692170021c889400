"""What a Parquet footer claims is checked before polars believes it."""

from contextlib import suppress

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from klimit import ArgumentError, DataError
from klimit.rollouts import read
from klimit.rollouts.formats.footer import Decoder, problem


def varint(number):
    parts = [number >> shift & 127 for shift in range(0, max(number.bit_length(), 1), 7)]
    return bytes(part | 128 for part in parts[:-1]) + bytes(parts[-1:])


def parts_of(path):
    raw = path.read_bytes()
    length = int.from_bytes(raw[-8:-4], "little")
    return raw[: -8 - length], raw[-8 - length : -8]


def forge(path, body, footer):
    path.write_bytes(body + footer + len(footer).to_bytes(4, "little") + b"PAR1")


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "a.parquet"
    frame = pl.DataFrame({"prompt": ["a"] * 12_345, "rm": [0.25 * i for i in range(12_345)]})
    frame.write_parquet(path, row_group_size=5000, compression="lz4")
    return path


def test_a_sound_footer_has_no_problem(path):
    assert problem(path) == ""


@pytest.mark.extras("pyarrow")
def test_the_decoder_agrees_with_pyarrow(path):
    import pyarrow.parquet as pq

    _, footer = parts_of(path)
    found = Decoder(footer).struct()
    theirs = pq.ParquetFile(path).metadata
    assert found[3] == theirs.num_rows
    assert len(found[4]) == theirs.num_row_groups
    for group, their_group in ((found[4][i], theirs.row_group(i)) for i in range(len(found[4]))):
        assert group[3] == their_group.num_rows
        for i, chunk in enumerate(group[1]):
            column = their_group.column(i)
            assert chunk[3][7] == column.total_compressed_size
            assert chunk[3][6] == column.total_uncompressed_size
            assert chunk[3][9] == column.data_page_offset


def test_a_column_beyond_the_end_of_the_file_is_refused_before_it_is_read(path):
    body, footer = parts_of(path)
    size = Decoder(footer).struct()[4][0][1][1][3][7]
    forge(path, body, footer.replace(varint(2 * size), varint(2 * 10**12)))
    with pytest.raises(DataError, match=r"a\.parquet cannot be read: its footer declares a column"):
        read(path)


def test_row_counts_that_contradict_each_other_are_refused(path):
    body, footer = parts_of(path)
    assert footer.count(varint(2 * 12_345)) == 1
    forge(path, body, footer.replace(varint(2 * 12_345), varint(2 * 12_346)))
    with pytest.raises(DataError, match="contradicts itself about the number of rows"):
        read(path)


def test_a_footer_that_is_no_thrift_is_refused(path):
    body, footer = parts_of(path)
    forge(path, body, b"\xff" * len(footer))
    with pytest.raises(DataError, match="its footer is damaged"):
        read(path)


def test_a_row_group_of_another_type_is_refused(path):
    body, _ = parts_of(path)
    groups = bytes([0x36]) + varint(2) + bytes([0x19, 0x16]) + varint(2) + b"\x00"
    forge(path, body, groups)  # a list of numbers where structs belong
    assert problem(path) == "its footer is damaged"


@given(st.binary(max_size=200))
def test_any_bytes_end_in_a_value_or_an_error_of_two_kinds(data):
    with suppress(IndexError, ValueError):
        Decoder(data).struct()


def test_nesting_has_an_end():
    with pytest.raises(ValueError, match="nested too deeply"):
        Decoder(b"\x19" * 100_000).struct()


@settings(deadline=None)
@given(data=st.data())
def test_a_damaged_footer_is_read_or_refused_and_never_worse(data, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "damaged.parquet"
    frame = pl.DataFrame({"prompt": ["a", "b"] * 50, "rm": [float(i) for i in range(100)]})
    frame.write_parquet(path)
    raw = bytearray(path.read_bytes())
    first = len(parts_of(path)[0])
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(first, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(raw)
    with suppress(DataError, ArgumentError):  # the latter where a column's name was hit
        read(path, prompt="prompt", reward="rm").grouped()
