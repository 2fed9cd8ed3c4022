"""What sandql costs, beside bare interpreters on the same machine in the same minutes. `python -m benchmarks` runs all of it."""
