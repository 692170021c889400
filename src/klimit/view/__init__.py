"""Results in words: pure functions from a result to text, for ``str``, commands and notebooks."""
