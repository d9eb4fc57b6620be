"""Every setting, declared once in its group; the only place that reads the environment.

`settings.py` joins the groups, `reading.py` fills them.
"""

from interview_agent.settings.process import RELAXED_ENVIRONMENTS
from interview_agent.settings.reading import SettingsError, read_settings, reread_secrets
from interview_agent.settings.settings import GROUPS, Settings

__all__ = [
    "GROUPS",
    "RELAXED_ENVIRONMENTS",
    "Settings",
    "SettingsError",
    "read_settings",
    "reread_secrets",
]
