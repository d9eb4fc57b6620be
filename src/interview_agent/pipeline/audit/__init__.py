"""The audit trail: one line and one row for each decision, bounded under any load."""

from interview_agent.pipeline.audit.folding import FoldLimits
from interview_agent.pipeline.audit.trail import AuditTrail, TrailLimits

__all__ = ["AuditTrail", "FoldLimits", "TrailLimits"]
