"""Damaged text files are read or refused, and never worse."""

import gzip
import json
import warnings
from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st

from klimit import ArgumentError, DataError, DataWarning
from klimit.rollouts import read

ROWS = [{"prompt": f"p{i // 3}", "completion": "well, é\n", "rm": i / 4} for i in range(12)]
LINES = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS).encode()
TABLE = b"prompt,completion,rm\n"
TABLE += b"".join(b'p%d,"well,\n",%d.5\n' % (i // 3, i) for i in range(12))
COLUMNS = ["prompt", "prompt_id", "rm", "reward", "rewards", "step", "tokens", "x"]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=4,
)
WHOLE = {
    "a.jsonl": LINES,
    "a.json": json.dumps(ROWS, indent=1).encode(),
    "a.csv": TABLE,
    "a.jsonl.gz": gzip.compress(LINES, mtime=0),
    "a.csv.gz": gzip.compress(TABLE, mtime=0),
}


@settings(deadline=None)
@given(data=st.data())
def test_a_damaged_text_file_is_read_or_refused(data, tmp_path_factory):
    name = data.draw(st.sampled_from(sorted(WHOLE)))
    raw = bytearray(WHOLE[name])
    for _ in range(data.draw(st.integers(0, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.one_of(st.none(), st.integers(0, len(raw))))
    path = tmp_path_factory.getbasetemp() / name
    path.write_bytes(raw[:cut])
    with (
        warnings.catch_warnings(),
        suppress(DataError, ArgumentError),
    ):  # the latter where a column's name was hit
        warnings.simplefilter("ignore", DataWarning)
        read(path, prompt="prompt", reward="rm").grouped()


@settings(deadline=None)
@given(rows=st.lists(st.dictionaries(st.sampled_from(COLUMNS), VALUES), max_size=6))
def test_any_json_records_are_read_or_refused(rows, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "any.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with warnings.catch_warnings(), suppress(DataError, ArgumentError):
        warnings.simplefilter("ignore", DataWarning)
        base = read(path)
        str(base.describe())
        base.frame()
        base.grouped()
