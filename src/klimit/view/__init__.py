"""Results in words: pure functions from a result to text, shared by ``str``, commands and notebooks."""
