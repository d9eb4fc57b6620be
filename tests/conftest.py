"""What every kind of test may ask for."""

pytest_plugins = ["machine_pace", "real_servers", "real_speech", "running_agents"]
