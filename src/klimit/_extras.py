"""What is installed on demand: said before work begins, rather than after it."""

from __future__ import annotations

from importlib.util import find_spec

from klimit._errors import DataError


def need(extra: str, *modules: str, what: str) -> None:
    """Refuse to begin `what` where one of its modules is not installed.

    Raises
    ------
    DataError
        Which says what to install.

    Examples
    --------
    >>> need("report", "no_such_module", what="a report")
    Traceback (most recent call last):
    klimit._errors.DataError: a report needs no_such_module; install it: pip install 'klimit[report]'.
    """
    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        them = "it" if len(missing) == 1 else "them"
        raise DataError(
            f"{what} needs {' and '.join(missing)}; install {them}: pip install 'klimit[{extra}]'."
        )
