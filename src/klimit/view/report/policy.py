"""The page's own security policy: nothing is fetched, and only the scripts and styles written here run."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable


def content_policy(*, scripts: Iterable[str], styles: Iterable[str], live: bool = False) -> str:
    """A Content-Security-Policy that admits these scripts and styles by their hash.

    Parameters
    ----------
    live : whether the page may ask the server that it came from for news
    """
    rules = {
        "default-src": ["'none'"],
        "script-src": [_hashed(text) for text in scripts],
        "style-src": [_hashed(text) for text in styles],
        "img-src": ["data:"],
        "connect-src": ["'self'"] if live else ["'none'"],
        "base-uri": ["'none'"],
        "form-action": ["'none'"],
    }
    return "; ".join(" ".join([name, *values]) for name, values in rules.items())


def _hashed(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
