"""Addresses of files: on disk or on a server, and how they are shown, without what is secret in them."""

import re
from urllib.parse import SplitResult, urlsplit

from explanations.command import InputError

REMOTE = ("http", "https")
HIDDEN = "…"
AUTHORITY = re.compile(r"^(\w[\w+.-]*://)[^/?#]*@")  # a user and a password before the server's name


def split_address(address: str) -> SplitResult:
    """The parts of an address; InputError if it can't be read as one."""
    try:
        return urlsplit(address)
    except ValueError as error:
        raise InputError(f"{shown(address)}: no address of a file ({shown(str(error))})") from None


def is_remote(address: str) -> bool:
    """Whether an address is a server's, not a file's on disk."""
    return split_address(address).scheme in REMOTE


def shown(address: str) -> str:
    """An address as logs, errors and network files hold it: without user and password, the values of a query hidden.

    A path on disk stays as it is.
    """
    if not re.match(rf"({'|'.join(REMOTE)}):", address, re.IGNORECASE):
        return address
    address, _, fragment = address.partition("#")
    place, mark, query = AUTHORITY.sub(r"\1", address).partition("?")
    hidden = "&".join(part.partition("=")[0] + f"={HIDDEN}" if "=" in part else HIDDEN for part in query.split("&"))
    return place + (mark and f"?{hidden}") + (f"#{HIDDEN}" if fragment else "")
