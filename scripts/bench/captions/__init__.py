"""The parts of the benchmark of live captions, `scripts/bench/live.py`."""
