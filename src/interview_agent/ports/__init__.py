"""The sockets in the wall: what the inside asks of the outside world."""
