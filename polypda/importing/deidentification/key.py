"""The key that pseudonyms are made with: who has it can tell which person a pseudonym belongs to."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from polypda.errors import DataError, UsageError
from polypda.files import whole_file

KEY_BYTES = 32
OTHERS = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True)
class Key:
    """secret: 32 bytes or more. created: whether it was made just now."""

    secret: bytes = field(repr=False)
    created: bool = False

    def digest(self, *parts: str) -> bytes:
        """HMAC-SHA256 of some texts; no two lists of texts are the same message."""
        message = b"".join(len(part.encode()).to_bytes(8, "big") + part.encode() for part in parts)
        return hmac.new(self.secret, message, hashlib.sha256).digest()

    @property
    def fingerprint(self) -> str:
        """Tells whether two keys are the same, and nothing else of them."""
        return self.digest("fingerprint").hex()[:12]


def load_key(path: Path, forbidden: Sequence[Path]) -> Key:
    """The key in a file; a missing one is made, readable by its owner alone.

    forbidden: folders that may be passed on with the frames; the key must not lie in them.

    Raises: UsageError E_KEY_PLACE; DataError E_KEY_UNREADABLE, E_KEY_SHORT, E_KEY_EXPOSED, E_KEY_NOT_MADE.
    """
    place = path.expanduser()
    for folder in forbidden:
        if place.resolve().is_relative_to(folder.resolve()):
            what = "the key would lie among the frames: whoever gets these could tell who they are of."
            raise UsageError("E_KEY_PLACE", what, where=path, fix="name a file elsewhere with --key.")
    if not place.exists():
        _make(place)
        return Key(_read(place), created=True)
    if os.name == "posix" and place.stat().st_mode & OTHERS:
        what = "others on this machine may read or change the key."
        raise DataError("E_KEY_EXPOSED", what, where=path, fix=f"chmod 600 '{path}'.")
    return Key(_read(place))


def _read(path: Path) -> bytes:
    try:
        secret = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except (OSError, ValueError) as error:
        fix = "a key is 64 hexadecimal digits; take the right file, or name one that does not exist yet to make a key."
        raise DataError("E_KEY_UNREADABLE", "this is no key.", where=path, fix=fix) from error
    if len(secret) < KEY_BYTES:
        what = f"the key has {8 * len(secret)} bits: it could be guessed."
        raise DataError("E_KEY_SHORT", what, where=path, fix="name a file that does not exist yet to make a new key.")
    return secret


def _make(path: Path) -> None:
    """Whole, and not over a key that another command made meanwhile: two commands at once end with one key."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with whole_file(path, private=True, over_former=False) as temporary:
            temporary.write_text(f"{secrets.token_hex(KEY_BYTES)}\n", encoding="ascii")
    except OSError as error:
        what = f"the key cannot be written ({error.strerror})."
        raise DataError("E_KEY_NOT_MADE", what, where=path, fix="name another file with --key.") from error
