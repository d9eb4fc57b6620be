"""What the web side is made from: values and objects that the composition hands over."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiohttp import web

from interview_agent.domain.policy import Policy
from interview_agent.ports.spans import NoSpans
from interview_agent.web.body import ByteBudget
from interview_agent.web.gate import Gate
from interview_agent.web.live.limits import SocketLimits
from interview_agent.web.origins import Origins
from interview_agent.web.proxies import Proxies
from interview_agent.web.rates import RateLimits

if TYPE_CHECKING:
    from interview_agent.domain.readiness import Issue
    from interview_agent.metrics import Metrics
    from interview_agent.pipeline.connector import ConnectorRequests, LivePull, Reconciliation
    from interview_agent.pipeline.erasure import MeetingErasure
    from interview_agent.pipeline.feed import Feed
    from interview_agent.pipeline.ingest import Ingest
    from interview_agent.pipeline.live_ingest import LiveIngest
    from interview_agent.pipeline.operations import Operations
    from interview_agent.pipeline.reader import Reader
    from interview_agent.ports.audit import AuditLog
    from interview_agent.ports.spans import Spans
    from interview_agent.web.auth import Authenticator


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether this process can do its work now; `issues` are codes, without hosts or versions."""

    ready: bool
    issues: tuple[str, ...] = ()


Probe = Callable[[], Awaitable[Readiness]]


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of request bodies, in bytes and seconds."""

    chunk_max_bytes: int = 16 * 2**20
    recording_max_bytes: int = 2 * 2**30
    inflight_max_bytes: int = 256 * 2**20
    json_max_bytes: int = 2**20
    body_timeout_s: float = 30.0

    @property
    def chunk_json_max_bytes(self) -> int:
        """Largest JSON body that can carry a chunk in base64 and its other fields."""
        return -(-self.chunk_max_bytes // 3) * 4 + 64 * 2**10


@dataclass(frozen=True, slots=True)
class StreamTimes:
    """Patience of event streams, in seconds.

    A comment goes out after `heartbeat_s` of silence; a listener that does not read for
    `patience_s` is disconnected. Every `recheck_s` it is asked whether the listener still may.
    """

    heartbeat_s: float = 15.0
    patience_s: float = 10.0
    recheck_s: float = 5.0


@dataclass(frozen=True, slots=True)
class ProbeParts:
    """What `/health`, `/ready` and `/metrics` need.

    With `guard_metrics`, the API shows `/metrics` to service identities alone; else it is open.
    """

    metrics: Metrics
    readiness: Probe
    guard_metrics: bool = False
    spans: Spans = field(default_factory=NoSpans)


@dataclass(frozen=True, slots=True)
class AdminParts:
    """What the routes of operators need; `issues` finds all that stands in the way of a process."""

    operations: Operations
    issues: Callable[[], Awaitable[Sequence[Issue]]]


@dataclass(frozen=True, slots=True)
class ConnectorParts:
    """What the routes of the connector need.

    A session that was not heard of for `stale_s` is stale.
    """

    requests: ConnectorRequests
    reconciliation: Reconciliation
    live_pull: LivePull
    stale_s: float


@dataclass(frozen=True, slots=True)
class WebParts:
    """What the API needs."""

    ingest: Ingest
    live: LiveIngest
    reader: Reader
    feed: Feed
    erasure: MeetingErasure
    authenticator: Authenticator
    audit: AuditLog
    probes: ProbeParts
    admin: AdminParts
    connector: ConnectorParts | None = None
    policy: Policy = field(default_factory=Policy)
    rates: RateLimits = field(default_factory=RateLimits)
    proxies: Proxies = field(default_factory=Proxies)
    origins: Origins = field(default_factory=Origins)
    limits: Limits = Limits()
    streams: StreamTimes = StreamTimes()
    sockets: SocketLimits = field(default_factory=SocketLimits)
    version: str = "0"


PARTS = web.AppKey("PARTS", WebParts)
PROBES = web.AppKey("PROBES", ProbeParts)
BUDGET = web.AppKey("BUDGET", ByteBudget)
GATE = web.AppKey("GATE", Gate)
