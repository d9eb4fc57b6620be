"""Tokens of an OpenID Connect provider: its keys, and what they have signed."""

from interview_agent.adapters.oidc.key_cache import KeyCache, KeyTimes
from interview_agent.adapters.oidc.provider import OidcProvider
from interview_agent.adapters.oidc.shared_secret import SharedSecret
from interview_agent.adapters.oidc.signed_tokens import SignedTokens

__all__ = ["KeyCache", "KeyTimes", "OidcProvider", "SharedSecret", "SignedTokens"]
