"""Hashes of files: whole ones of what results are made from, short ones that tell images apart.

Needs the standard library alone: the workflow's plan uses it too.
"""

import hashlib
from pathlib import Path

DIGITS = 16  # of a SHA-256 in hexadecimal; enough to tell images apart
NO_CONTENT = "-"  # of a file that can't be opened


def file_hash(path: Path, algorithm: str = "sha256") -> str:
    """A file's hash, SHA-256 or another of hashlib's, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def hash_content(path: Path) -> str:
    """The first digits of the SHA-256 of a file's content, in hexadecimal; NO_CONTENT if it can't be opened."""
    try:
        return file_hash(path)[:DIGITS]
    except OSError:
        return NO_CONTENT


def hash_bytes(data: bytes) -> str:
    """As `hash_content`, of a file's content that is in memory."""
    return hashlib.sha256(data).hexdigest()[:DIGITS]
