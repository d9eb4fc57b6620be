"""Audio as immutable files, on a local disk or a folder that several machines share."""

from interview_agent.adapters.local_fs.files import TEMPORARY_PREFIX
from interview_agent.adapters.local_fs.store import MARKER, LocalFsBlobStore

__all__ = ["MARKER", "TEMPORARY_PREFIX", "LocalFsBlobStore"]
