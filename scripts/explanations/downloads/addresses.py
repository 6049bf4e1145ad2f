"""Addresses of files, on disk or on a server: their parts, and how they are shown, without what is secret in them.

A server's user and password are in ~/.netrc, or in the file that NETRC names, as of curl and wget: what stands in a
configuration, Snakemake keeps with its logs. Needs the standard library alone: the workflow's plan uses it too.
"""

import base64
import netrc
import os
import re
from pathlib import Path
from urllib.parse import SplitResult, urlsplit
from urllib.request import Request

from explanations.errors import InputError

REMOTE = ("http", "https")
HIDDEN = "…"
SERVER = r"((?!file:)[a-z][a-z0-9+.-]*://|https?:/*)"
LOGIN = r"(?:[^/?#]*@|[^/?#:\[]*:(?!\d*(?:[/?#]|$))[^@]*@)"  # user:password@, where the password may hold / too
HOLDS_LOGIN = re.compile(SERVER + LOGIN, re.IGNORECASE)
PARTS = re.compile(rf"{SERVER}{LOGIN}?([^?#]*)(?:\?([^#]*))?(#.*)?", re.IGNORECASE | re.DOTALL)


def split_address(address: str) -> SplitResult:
    """The parts of an address; InputError if it can't be read as one, or holds a user or a password."""
    if HOLDS_LOGIN.match(address):
        said = "holds a user or password, which logs would keep; ~/.netrc can hold them for the server"
        raise InputError(f"{shown(address)}: {said}")
    try:
        parts = urlsplit(address)
        parts.port  # noqa: B018 (reading it checks it)
        return parts
    except ValueError as error:
        raise InputError(f"{shown(address)}: no address of a file ({error})") from None


def is_remote(address: str) -> bool:
    """Whether an address is a server's, not a file's on disk."""
    return split_address(address).scheme in REMOTE


def shown(address: str) -> str:
    """An address as logs, errors and network files hold it: without user and password, with a query's values hidden.

    A path on disk stays what it is.
    """
    found = PARTS.fullmatch(address)
    if found is None:
        return address
    scheme, path, query, fragment = found.groups()
    if query is not None:
        pairs = (part.partition("=") for part in query.split("&"))
        path += "?" + "&".join(f"{key}={HIDDEN}" if mark else HIDDEN for key, mark, _ in pairs)
    return f"{scheme}{path}{f'#{HIDDEN}' if fragment else ''}"


def without_secrets(text: str, address: str = "") -> str:
    """What a library says of addresses, each as it is shown; of `address` the query nowhere else either."""
    text = re.sub(r"[a-z][a-z0-9+.-]*://[^\s'\"<>]+", lambda found: shown(found[0]), text, flags=re.IGNORECASE)
    query = address.partition("?")[2]
    return text.replace(query, HIDDEN) if query else text


def ask(address: str, headers: dict[str, str]) -> Request:
    """A request for what is at an address, with the user and password that ~/.netrc has for its server.

    They go to that server alone, not to those that it leads to.
    """
    request, path = Request(address, headers=headers), Path(os.environ.get("NETRC") or "~/.netrc").expanduser()
    try:
        found = netrc.netrc(path).hosts.get(split_address(address).hostname) if path.exists() else None
    except (OSError, netrc.NetrcParseError) as error:
        raise InputError(f"{path}: can't be read ({getattr(error, 'strerror', None) or error.msg})") from None
    if found:
        user, _, password = found
        token = base64.b64encode(f"{user}:{password}".encode()).decode()
        request.add_unredirected_header("Authorization", f"Basic {token}")
    return request
