"""Parts of a long job on disk: stopped at any time, it goes on where it stopped."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from klimit._errors import ArgumentError
from klimit._files import whole_file
from klimit.audit.rescore.tokens import Row
from klimit.rollouts.words import shown

_JOB = "job.json"


def fingerprint(rows: Sequence[Row | None], policy: Path, base: Path, **how: object) -> str:
    """What the scores depend on: token ids, weights (by name, size and time) and settings."""
    found = hashlib.sha256()
    for row in rows:
        found.update(b"-" if row is None else repr((row.prompt, row.completion)).encode())
    for folder in (policy, base):
        for path in sorted(folder.glob("*")):
            if path.suffix in (".safetensors", ".json"):
                stat = path.stat()
                found.update(f"{path.name} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    found.update(json.dumps(how, sort_keys=True, default=str).encode())
    return found.hexdigest()


@dataclass(frozen=True)
class Parts:
    """A folder beside the output with one Parquet file per part; each is written whole or not at all."""

    folder: Path

    @classmethod
    def of(cls, output: Path, job: str) -> Parts:
        """Those of this job; made if new."""
        folder = output.with_name(f"{output.name}.parts")
        folder.mkdir(exist_ok=True)
        note = folder / _JOB
        if note.is_file():
            if json.loads(note.read_text()).get("job") != job:
                raise ArgumentError(
                    f"{shown(folder)} has parts of another job (other samples, checkpoints or "
                    "settings); name another output, or remove that folder."
                )
        else:
            with whole_file(note) as file:
                file.write(json.dumps({"job": job}).encode())
        return cls(folder)

    def get(self, number: int, height: int) -> pl.DataFrame | None:
        """A part that is done and whole."""
        path = self._path(number)
        if not path.is_file():
            return None
        try:
            part = pl.read_parquet(path)
        except (OSError, pl.exceptions.PolarsError):
            return None
        return part if part.height == height else None

    def put(self, number: int, part: pl.DataFrame) -> None:
        """Keep a part."""
        with whole_file(self._path(number)) as file:
            part.write_parquet(file)

    def remove(self) -> None:
        """All parts, once the whole is written."""
        for path in [*self.folder.glob("*.parquet"), self.folder / _JOB]:
            path.unlink(missing_ok=True)
        if not any(self.folder.iterdir()):
            self.folder.rmdir()

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:06d}.parquet"
