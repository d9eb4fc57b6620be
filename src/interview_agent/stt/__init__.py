"""Speech to text of a track as one timeline, whatever chunks it came in."""
