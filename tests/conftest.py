"""What every kind of test may ask for."""

pytest_plugins = ["real_servers", "real_speech", "running_agents"]
