"""Which computers the virtual phone trusts: adbd's exchange of tokens, signatures and public keys."""

from __future__ import annotations

import secrets
import threading
from collections import deque
from collections.abc import Sequence
from typing import Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa, utils

from mobiledeploy.device.keys import decode_public_key

MAX_KEYS = 64  # beyond that the oldest is forgotten
TOKEN_BYTES = 20  # adb_auth.h: the size of a SHA-1 digest, as which a token is signed

Policy = Literal["any", "none"] | Sequence[str]


class Authorization:
    """The phone's list of trusted keys, shared by all its connections.

    `policy` is "any" (trust and remember whoever offers a key, as if a user always tapped "allow"),
    "none" (trust nobody, as if nobody ever tapped), or the public keys that are trusted, each as
    adbkey.pub holds it. Raises ValueError for a public key that is none.
    """

    def __init__(self, policy: Policy) -> None:
        self._accept_new = policy == "any"
        listed = [] if isinstance(policy, str) else policy
        if isinstance(policy, str) and policy not in ("any", "none"):
            raise ValueError(f"authorization is 'any', 'none' or a list of public keys, not {policy!r}")
        self._keys: deque[rsa.RSAPublicKey] = deque(
            (decode_public_key(text.encode()) for text in listed), maxlen=MAX_KEYS
        )
        self._lock = threading.Lock()

    @staticmethod
    def new_token() -> bytes:
        """Return a fresh token for a peer to sign."""
        return secrets.token_bytes(TOKEN_BYTES)

    def verify(self, token: bytes, signature: bytes) -> bool:
        """Say whether a trusted key signed `token`."""
        with self._lock:
            keys = list(self._keys)
        return any(_verifies(key, token, signature) for key in keys)

    def offer(self, public_key: bytes) -> bool:
        """Take a public key that a peer offers; return whether the peer is trusted from now on."""
        if not self._accept_new:
            return False
        try:
            key = decode_public_key(public_key)
        except ValueError:
            return False
        with self._lock:
            self._keys.append(key)
        return True


def _verifies(key: rsa.RSAPublicKey, token: bytes, signature: bytes) -> bool:
    try:
        key.verify(signature, token, padding.PKCS1v15(), utils.Prehashed(hashes.SHA1()))  # noqa: S303
    except InvalidSignature:
        return False
    return True
