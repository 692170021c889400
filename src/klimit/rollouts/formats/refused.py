"""Files that are not read, since they would run code or hold no data, and what to do instead."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import NoReturn

from klimit._errors import DataError
from klimit.rollouts.words import shown

_TORCH = (".pt", ".pth", ".ckpt", ".bin")


def check(path: Path, head: bytes) -> None:
    """Refuse a pickle, and what Git LFS left of a file, whatever their names are."""
    if head.startswith(b"version https://git-lfs"):
        raise DataError(
            f"{shown(path)} is the pointer to a file that Git LFS has not fetched. Run: git lfs pull."
        )
    suffix = path.suffix.lower()
    archive = head[:2] == b"PK" and suffix != ".eval"  # of a log only JSON is read, by name
    pickled = head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05")
    if (suffix in _TORCH and (archive or pickled)) or (archive and _is_torch(path)):
        refuse(
            path,
            "import torch, polars as pl; rows = torch.load(FILE, weights_only=False); "
            "rows = rows['samples'] if isinstance(rows, dict) else rows",  # slime, miles
        )
    if pickled:
        refuse(path, "import pickle, polars as pl; rows = pickle.load(open(FILE, 'rb'))")


def refuse(path: Path, load: str) -> NoReturn:
    """Say why it is not loaded, and the lines with which the user converts it."""
    name = shown(path)
    raise DataError(
        f"{name} is a pickle, which can run code when it is loaded; klimit never loads one. "
        f"If you trust it, convert it once in Python: FILE = {str(path)!r}; {load}; "
        "pl.DataFrame([{'prompt_id': row['group_index'], 'reward': row['reward']} for row in rows])"
        ".write_parquet('rollouts.parquet') (with the names that your rows use)."
    )


def _is_torch(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("data.pkl") for name in archive.namelist())
    except (zipfile.BadZipFile, OSError):
        return False
