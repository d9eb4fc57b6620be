"""Forgetting: whole meetings on request, audio and words when their time is over.

`requests` is asked by callers, `stage` erases a meeting that was deleted, `retention` forgets what
is too old. Whatever goes leaves a proof without content.
"""

from interview_agent.pipeline.erasure.requests import MeetingErasure
from interview_agent.pipeline.erasure.retention import RetentionStage
from interview_agent.pipeline.erasure.stage import ErasureStage

__all__ = ["ErasureStage", "MeetingErasure", "RetentionStage"]
