"""Keys that another system issues: JSON Web Tokens (RFC 7519), signed by HS256 or RS256, with roles in a claim.

A file says whose tokens count:

    {"algorithm": "RS256", "key": "issuer.pem", "issuer": "https://login.example", "audience": "tunewright"}

Only that algorithm is taken, so a token cannot choose another ("none", or a public key as a secret; RFC 8725, section 3.1).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tunewright.core.errors import MachineError, UsageError, listing, nearest
from tunewright.core.files import read_json
from tunewright.serve import quota
from tunewright.serve.keys import MAY, Key

ALGORITHMS = ("HS256", "RS256")
LEAST = 32  # bytes of a secret: as many as the hash has (RFC 7518, section 3.2)
LONGEST = 8192  # characters of a token
REQUIRED = ("exp", "iss", "aud", "sub")


@dataclass(frozen=True)
class Issuer:
    """What the file holds."""

    algorithm: str
    key: str  # a file beside this one: the secret, or the public key in PEM form
    issuer: str
    audience: str
    roles: str = "roles"  # the claim: a text with one or several, or a list
    leeway: float = 30.0  # seconds that clocks may differ
    quotas: dict[str, int] = field(default_factory=dict)  # of each subject


class Tokens:
    """Raises UsageError for a file that does not say whose tokens count, MachineError without the package PyJWT."""

    def __init__(self, file: Path) -> None:
        try:
            import jwt
        except ImportError:
            raise MachineError("Tokens need the package PyJWT: pip install 'tunewright[jwt]'.") from None
        self._jwt, self._about = jwt, _read(file)
        self._key = _key(file.parent / self._about.key, self._about.algorithm)

    def find(self, given: str) -> Key | None:
        """The subject of a token that holds, with the widest of its roles; None for anything else."""
        if given.count(".") != 2 or len(given) > LONGEST or not given.isascii():
            return None
        about = self._about
        try:
            claims = self._jwt.decode(
                given,
                self._key,
                algorithms=[about.algorithm],
                audience=about.audience,
                issuer=about.issuer,
                leeway=about.leeway,
                options={"require": list(REQUIRED)},
            )
        except (self._jwt.PyJWTError, ValueError, TypeError, RecursionError):
            return None
        subject = f"jwt:{claims['sub']}"[:128]
        return Key(subject, _role(claims.get(about.roles)), "", "", "", subject, about.quotas)


def _role(claim: Any) -> str:
    """The widest role that the claim names; "none" where it names none."""
    words = claim.split() if isinstance(claim, str) else claim if isinstance(claim, list) else ()
    return max((role for role in MAY if role in words), key=lambda role: len(MAY[role]), default="none")


def _read(file: Path) -> Issuer:
    known = tuple(Issuer.__dataclass_fields__)
    try:
        given = read_json(file)
    except (OSError, ValueError):
        raise UsageError(f"--jwt {file} cannot be read: it is a JSON object with {listing(known)}.") from None
    if not isinstance(given, dict):
        raise UsageError(f"--jwt {file} must be a JSON object with {listing(known)}.")
    for name in given:
        if name not in known:
            raise UsageError(
                f"--jwt {file} has an unknown key {name!r:.40}.{nearest(name, known)} Keys: {listing(known)}."
            )
    for name in ("algorithm", "key", "issuer", "audience", "roles"):
        if not isinstance(given.get(name, "" if name != "roles" else "roles"), str) or given.get(name, "roles") == "":
            raise UsageError(f"--jwt {file}: {name} must be a text.")
        if name not in given and name != "roles":
            raise UsageError(f"--jwt {file} lacks {name}.")
    if given["algorithm"] not in ALGORITHMS:
        raise UsageError(
            f"--jwt {file}: algorithm must be {' or '.join(ALGORITHMS)}; it is {given['algorithm']!r:.40}."
        )
    if type(given.get("leeway", 0)) not in (int, float) or not 0 <= given.get("leeway", 0) <= 300:
        raise UsageError(f"--jwt {file}: leeway must be seconds from 0 to 300.")
    if not quota.are(given.get("quotas", {})):
        raise UsageError(f"--jwt {file}: quotas must be whole numbers by name. Names: {listing(quota.QUOTAS)}.")
    return Issuer(**given)


def _key(file: Path, algorithm: str) -> bytes:
    try:
        key = file.read_bytes().strip()
    except OSError:
        raise UsageError(f"The key {file} of --jwt cannot be read.") from None
    if algorithm == "HS256":
        if len(key) < LEAST:
            raise UsageError(f"{file}: a secret for HS256 needs {LEAST} bytes at least; this one has {len(key)}.")
        return key
    if b"-----BEGIN PUBLIC KEY-----" not in key and b"-----BEGIN RSA PUBLIC KEY-----" not in key:
        raise UsageError(f"{file}: RS256 needs the issuer's public key in PEM form (BEGIN PUBLIC KEY).")
    return key
