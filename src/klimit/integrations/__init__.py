"""Inside other people's training loops: `klimit.integrations.trl`, `klimit.integrations.verl`."""
