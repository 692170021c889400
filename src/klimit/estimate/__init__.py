"""The limit from samples: the same quantities as `klimit.theory`, estimated."""
