"""NumPy files: arrays of rewards, (prompts, samples). Objects in them would be pickles."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from klimit._errors import DataError
from klimit._text import safe
from klimit.rollouts.formats import refused
from klimit.rollouts.formats.parquet import memory
from klimit.rollouts.frames import from_arrays
from klimit.rollouts.table import Scan
from klimit.rollouts.words import shown


def scan(path: Path, care: int = 0) -> Scan:
    """The array as a table, a row per sample; several of an `.npz` are several rewards."""
    try:
        loaded = np.load(path, mmap_mode="r", allow_pickle=False)  # a map takes no memory yet
        if isinstance(loaded, np.ndarray):
            return Scan(from_arrays(loaded).lazy())
        with loaded:
            _check_sizes(path, loaded)
            return Scan(from_arrays({name: loaded[name] for name in loaded.files}).lazy())
    except ValueError as error:
        if "allow_pickle" in str(error) or "Python objects" in str(error):
            refused.refuse(
                path, "import numpy as np, polars as pl; rows = np.load(FILE, allow_pickle=True)"
            )
        raise DataError(
            f"{shown(path)} is no readable NumPy file: {safe(error)}. "
            "An array of shape (prompts, samples) was expected."
        ) from None


def _check_sizes(path: Path, loaded: np.lib.npyio.NpzFile) -> None:
    """Believe no header that declares more than the archive holds."""
    archive = loaded.zip
    assert archive is not None
    for info in archive.infolist():
        with archive.open(info) as member:
            version = np.lib.format.read_magic(member)
            read = {
                (1, 0): np.lib.format.read_array_header_1_0,
                (2, 0): np.lib.format.read_array_header_2_0,
            }.get(version)
            if read is None:
                raise DataError(f"{shown(path)} has arrays of an unknown version {version}.")
            shape, _, dtype = read(member)
        if info.file_size > memory():
            raise DataError(
                f"{shown(path)} declares {info.file_size:,} bytes of one array, more "
                "than this machine has memory for."
            )
        declared = int(np.prod([float(size) for size in shape])) * dtype.itemsize
        if declared > info.file_size:
            raise DataError(
                f"{shown(path)} declares an array of {declared:,} bytes in "
                f"{info.file_size:,}; the file is damaged."
            )
