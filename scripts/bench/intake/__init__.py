"""The parts of the ingest benchmark: loads, what they found, the floor of the work itself."""
