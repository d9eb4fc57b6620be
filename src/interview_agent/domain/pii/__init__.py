"""Personal data: how it is found and masked."""
