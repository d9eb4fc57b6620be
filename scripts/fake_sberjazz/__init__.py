"""A gateway that follows our contract, and breaks it as it is told to.

Knows nothing of the service: it is written from `config/contracts/sberjazz-gateway.v1.yaml`.
"""

from fake_sberjazz.faults import Fault
from fake_sberjazz.gateway import FakeGateway, Request, serve
from fake_sberjazz.rooms import Bot, Room
from fake_sberjazz.voices import Voice, read_voice

__all__ = ["Bot", "FakeGateway", "Fault", "Request", "Room", "Voice", "read_voice", "serve"]
