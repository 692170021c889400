"""Whatever a file or a parser throws, said in one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from klimit._errors import DataError, KlimitError
from klimit._text import safe
from klimit.rollouts.words import shown


class Unreadable(DataError):  # noqa: N818 - never seen outside
    """A parser gave up; looking again with more care may do better, or say more."""


_OURS = (AttributeError, NameError, ImportError, AssertionError)  # no file's fault
_CUT_SHORT = (
    "unexpected end of file",
    "incomplete frame",
    "end-of-stream marker",
    "unexpected eof",
)
_KNOWN: dict[type[BaseException], str] = {
    PermissionError: "may not be read by this user: permission denied. Change its mode or owner.",
    FileNotFoundError: "is not there any more; it was when reading began.",
    RecursionError: "is nested too deeply; flat records were expected.",
    MemoryError: "needs more memory than there is; read a part of it.",
}


@contextmanager
def reading(what: object) -> Iterator[None]:
    """Turn what goes wrong inside into a DataError that names `what`, in one line.

    Parsers written in Rust panic with an exception that is no `Exception`; that is caught as well.
    """
    try:
        yield
    except (KlimitError, *_OURS):
        raise
    except Exception as error:  # noqa: BLE001 - every parser has its own exceptions
        fail(what, error)
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        fail(what, error)


def fail(what: object, error: BaseException) -> NoReturn:
    """Raise the DataError that says why `what` cannot be read."""
    name = shown(what)
    reason = str(error).strip().split("\n", 1)[0].rstrip(".")
    if any(words in reason.lower() for words in _CUT_SHORT):
        raise Unreadable(
            f"{name} is cut short: its compressed stream ends too early. "
            "Copy or download it again, or unpack what is left of it first."
        ) from None
    for kind, what_is in _KNOWN.items():
        if isinstance(error, kind):
            raise DataError(f"{name} {what_is}") from None
    if "utf-8" in reason.lower():
        raise Unreadable(
            f"{name} is not UTF-8 text. Convert it first: iconv -f LATIN1 -t UTF-8 FILE > NEW."
        ) from None
    raise Unreadable(
        f"{name} cannot be read: {safe(reason or type(error).__name__, longest=200)}. "
        "Check that it is whole and what its name says it is."
    ) from None
