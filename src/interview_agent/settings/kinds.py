"""Kinds of values that need more than a type: how they are split, checked and made alike."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, SecretStr

_PLAIN_URL = re.compile(r"https?://[^/\s?#@]+(/[^\s?#@]*)?\Z")
_ALGORITHM = re.compile(r"(RS|ES|HS)(256|384|512)\Z")
_HOST = re.compile(r"(\*\.)?([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]\Z")
_ORIGIN = re.compile(r"(https?://[^/\s?#@*]+|\*)\Z")


def items_of(text: str) -> tuple[str, ...]:
    """Return the items of a comma-separated list, stripped; blank ones are dropped."""
    return tuple(part for part in (item.strip() for item in text.split(",")) if part)


def _split(value: object) -> object:
    return items_of(value) if isinstance(value, str) else value


def _split_secrets(value: object) -> object:
    parts = _split(value)
    return tuple(SecretStr(part) for part in parts) if isinstance(parts, tuple) else parts


def _exact_origins(origins: tuple[str, ...]) -> tuple[str, ...]:
    exact = tuple(origin.lower().removesuffix("/") for origin in origins)
    if not all(_ORIGIN.match(origin) for origin in exact):
        message = "each must be an origin such as https://app.example.com, or `*`"
        raise ValueError(message)
    return exact


def _one_family(algorithms: tuple[str, ...]) -> tuple[str, ...]:
    if not algorithms or not all(_ALGORITHM.match(name) for name in algorithms):
        message = (
            "each must be one of RS256, RS384, RS512, ES256, ES384, ES512, HS256, HS384, HS512"
        )
        raise ValueError(message)
    # With both, a public key can be taken for a secret that everybody knows.
    if len({name.startswith("HS") for name in algorithms}) > 1:
        message = "algorithms of secrets (HS…) and of public keys must not be mixed"
        raise ValueError(message)
    return algorithms


def _plain_url(url: str) -> str:
    if not _PLAIN_URL.match(url):
        message = "must be an http or https address without user, query or fragment"
        raise ValueError(message)
    return url


def _networks(networks: tuple[str, ...]) -> tuple[str, ...]:
    try:
        return tuple(str(ipaddress.ip_network(each, strict=False)) for each in networks)
    except ValueError:
        message = "each must be an address or a network such as 10.0.0.0/8"
        raise ValueError(message) from None


def _http_statuses(statuses: tuple[int, ...]) -> tuple[int, ...]:
    if not all(400 <= status <= 599 for status in statuses):
        message = "each must be the HTTP status of an error, 400 to 599"
        raise ValueError(message)
    return statuses


def _hosts(hosts: tuple[str, ...]) -> tuple[str, ...]:
    names = tuple(host.lower() for host in hosts)
    # An address is no name, so that no link can lead to one.
    if not all(_HOST.match(name) for name in names):
        message = "each must be the name of a host, or `*.` and a name"
        raise ValueError(message)
    return names


def _plain_dsn(value: object) -> object:
    if isinstance(value, str):
        scheme, separator, rest = value.partition("://")
        return scheme.partition("+")[0] + separator + rest
    return value


Csv = Annotated[tuple[str, ...], BeforeValidator(_split)]
Origins = Annotated[tuple[str, ...], BeforeValidator(_split), AfterValidator(_exact_origins)]
Hosts = Annotated[tuple[str, ...], BeforeValidator(_split), AfterValidator(_hosts)]
Networks = Annotated[tuple[str, ...], BeforeValidator(_split), AfterValidator(_networks)]
Secrets = Annotated[tuple[SecretStr, ...], BeforeValidator(_split_secrets)]
Algorithms = Annotated[tuple[str, ...], BeforeValidator(_split), AfterValidator(_one_family)]
Statuses = Annotated[tuple[int, ...], BeforeValidator(_split), AfterValidator(_http_statuses)]
Url = Annotated[str, AfterValidator(_plain_url)]
Dsn = Annotated[SecretStr, BeforeValidator(_plain_dsn)]
