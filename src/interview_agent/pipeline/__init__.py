"""What happens to the audio, one stage a file; stages do not call each other."""
