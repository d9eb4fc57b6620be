"""What keeps the loops turning: one worker loop for all stages, supervision, upkeep."""
