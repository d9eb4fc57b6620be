"""What listeners of a meeting are told while it goes on."""

from interview_agent.pipeline.feed.feed import KIND_BY_ITEM, Feed
from interview_agent.pipeline.feed.items import (
    AlertShown,
    FeedItem,
    PartialShown,
    Retracted,
    StatusChanged,
    Updated,
)

__all__ = [
    "KIND_BY_ITEM",
    "AlertShown",
    "Feed",
    "FeedItem",
    "PartialShown",
    "Retracted",
    "StatusChanged",
    "Updated",
]
