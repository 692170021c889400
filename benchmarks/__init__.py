"""What klimit promises, measured: accuracy by simulation, speed beside its peers."""
