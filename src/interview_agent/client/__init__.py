"""A client of the live protocol: sends tracks, follows captions, survives broken connections."""
