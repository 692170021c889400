"""The page's own security policy: nothing is fetched, and only the scripts and styles written here run."""

from __future__ import annotations

import base64
import hashlib


def content_policy(*, script: str, style: str, live: bool) -> str:
    """A Content-Security-Policy that admits this script and this style by their hash.

    Parameters
    ----------
    live : whether the page may ask the server that it came from for news
    """
    rules = {
        "default-src": "'none'",
        "script-src": _hashed(script),
        "style-src": _hashed(style),
        "img-src": "data:",
        "connect-src": "'self'" if live else "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    return "; ".join(f"{name} {admitted}" for name, admitted in rules.items())


def _hashed(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
