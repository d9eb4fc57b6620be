"""Redis or Valkey: hints and signals, of which nothing durable depends."""

from interview_agent.adapters.valkey.broadcast import ValkeyBroadcast
from interview_agent.adapters.valkey.wake_queue import ValkeyWakeQueue

__all__ = ["ValkeyBroadcast", "ValkeyWakeQueue"]
