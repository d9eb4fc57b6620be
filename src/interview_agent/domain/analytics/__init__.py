"""What a report computes: stretches, turns, figures, questions, quotes."""
