"""Golden dumps, and how they were made: `make/` holds scripts, not tests."""

collect_ignore = ["make"]
