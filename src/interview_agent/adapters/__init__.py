"""The outside world: databases, streams, disks, models and sockets behind the ports."""
