"""Figures of a report, by subject; every one says how well it is founded."""
