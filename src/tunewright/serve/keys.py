"""Who may ask: this machine alone, or who has a key. Keys are shown once and kept as salted hashes, each with a role."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import os
import re
import secrets
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Protocol

from tunewright.core.errors import UsageError, listing, nearest
from tunewright.core.files import read_json, write_json
from tunewright.core.run import now
from tunewright.serve import quota

MAY = {  # role → what it may do; who labels need not ask, and who asks need not label
    "predict": ("predict",),
    "feedback": ("feedback",),
    "admin": ("predict", "feedback", "admin"),
}
ROLES = tuple(MAY)
PREFIX = "tw"
NAME = re.compile(r"\w[\w.@-]{0,63}")


@dataclass(frozen=True)
class Key:
    """A key as its file holds it: never itself."""

    id: str
    role: str
    salt: str
    hash: str
    created: str
    name: str = ""  # whose it is, for the audit log
    quotas: Mapping[str, int] = field(default_factory=dict)  # as serve/quota.py names them

    def may(self, what: str) -> bool:
        """Whether it may do this."""
        return what in MAY.get(self.role, ())

    @property
    def who(self) -> str:
        """As logs name it."""
        return self.name or self.id


CALLER: ContextVar[Key | None] = ContextVar("caller", default=None)  # whose request is being answered


class Door(Protocol):
    """Who finds the key in what a request sends."""

    def find(self, given: str) -> Key | None:
        """The key that this is, None where it is none."""


class Doors:
    """Several of them, asked in turn."""

    def __init__(self, *doors: Door) -> None:
        self._doors = doors

    def find(self, given: str) -> Key | None:
        """See Door.find."""
        return next((key for door in self._doors if (key := door.find(given)) is not None), None)


def new_key(file: Path, role: str, name: str = "", quotas: Mapping[str, int] | None = None) -> tuple[str, Key]:
    """Make a key, add its hash to the file (which nobody else may read), and give the key: it is never seen again.

    name: whose it is. Raises UsageError for a role that is none or a name that cannot be one.
    """
    if role not in ROLES:
        raise UsageError(f"There is no role {role!r:.40}.{nearest(role, ROLES)} Roles: {listing(ROLES)}.")
    if name and not NAME.fullmatch(name):
        raise UsageError(f"{name!r:.40} cannot be a key's name: letters, digits and the signs . @ - _, 64 at most.")
    keys = _read(file) if file.exists() else ()
    secret, salt, id = secrets.token_urlsafe(32), secrets.token_hex(16), secrets.token_hex(4)
    key = Key(id, role, salt, _hashed(secret, salt), now(), name, dict(quotas or {}))
    write_json(file, {"keys": [asdict(one) for one in (*keys, key)]})
    os.chmod(file, 0o600)
    return f"{PREFIX}_{id}_{secret}", key


class Keys:
    """The keys of a file; a change of the file counts from the next request on."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._seen = -1
        self._keys: dict[str, Key] = {}
        self._refresh()
        if not self._keys:
            raise UsageError(f"{file} holds no keys. Make one: tunewright serve --new-key predict --keys {file}")

    def find(self, given: str) -> Key | None:
        """The key that this is, None where it is none."""
        self._refresh()
        prefix, _, rest = given.partition("_")
        name, _, secret = rest.partition("_")
        key = self._keys.get(name)
        if key is None or prefix != PREFIX:
            return None
        return key if hmac.compare_digest(_hashed(secret, key.salt), key.hash) else None

    def _refresh(self) -> None:
        changed = self._file.stat().st_mtime_ns if self._file.exists() else 0
        if changed != self._seen:
            self._keys = {key.id: key for key in (_read(self._file) if changed else ())}
            self._seen = changed


def _read(file: Path) -> tuple[Key, ...]:
    try:
        keys = tuple(Key(**one) for one in read_json(file)["keys"])
        if all(key.role in ROLES and quota.are(key.quotas) for key in keys):
            return keys
    except (KeyError, TypeError, ValueError):
        pass
    raise UsageError(f"{file} is no file of keys. Make one: tunewright serve --new-key predict --keys FILE")


def _hashed(secret: str, salt: str) -> str:
    """One round of SHA-256 is enough: a secret has 256 random bits, which nobody finds by trying."""
    return hashlib.sha256(salt.encode() + secret.encode("utf-8", "backslashreplace")).hexdigest()


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
