"""OpenSSH public keys as people paste them: which are taken, and what they are called. Must never see a private key for longer than to
refuse it."""

import base64
import binascii
import hashlib
from dataclasses import dataclass

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_ssh_public_key

from core.errors import Invalid

ALGORITHMS = {
    "ssh-ed25519": "Ed25519",
    "ecdsa-sha2-nistp256": "ECDSA 256",
    "ecdsa-sha2-nistp384": "ECDSA 384",
    "ecdsa-sha2-nistp521": "ECDSA 521",
    "ssh-rsa": "RSA",
}
LEAST_RSA, MOST_RSA = 2048, 16384  # bits
LONGEST = 16 * 1024  # characters

_HINT = "Make one with `ssh-keygen -t ed25519` and paste the one line of its file that ends in .pub."


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key that is taken. `line` is algorithm and base64; `fingerprint` SHA-256 in base64, as `ssh-keygen -l` shows it after `SHA256:`."""

    algorithm: str
    bits: int
    fingerprint: str
    line: str
    comment: str

    @property
    def kind(self) -> str:
        """In words: Ed25519, RSA 4096."""
        name = ALGORITHMS[self.algorithm]
        return f"{name} {self.bits}" if self.algorithm == "ssh-rsa" else name


def read_public_key(text: str) -> PublicKey:
    """One line of a .pub or authorized_keys file (options before the key are not taken). Raises Invalid, saying what is wrong with it."""
    text = text.strip()
    if "PRIVATE KEY" in text:
        raise Invalid(
            "That is a private key: never give it to anybody.",
            hint="It has been seen here now, so make a new pair, and paste the line of the file that ends in .pub.",
        )
    if not text or len(text) > LONGEST or len(text.splitlines()) != 1:
        raise Invalid("That is not one line with a public key.", hint=_HINT)
    algorithm, _, rest = text.partition(" ")
    blob, _, comment = rest.strip().partition(" ")
    if algorithm not in ALGORITHMS:
        raise Invalid(_refusal(algorithm), hint=_HINT)
    try:
        raw = base64.b64decode(blob, validate=True)
        line = f"{algorithm} {base64.b64encode(raw).decode()}"
        key = load_ssh_public_key(line.encode())
    except (binascii.Error, ValueError, UnsupportedAlgorithm):
        raise Invalid("That public key is damaged or not whole.", hint="Copy the whole line, in one piece.") from None
    bits = key.key_size if isinstance(key, RSAPublicKey) else 0
    if isinstance(key, RSAPublicKey) and not LEAST_RSA <= bits <= MOST_RSA:
        raise Invalid(f"An RSA key must have {LEAST_RSA} to {MOST_RSA} bits; this one has {bits}.", hint=_HINT)
    return PublicKey(algorithm, bits, fingerprint(raw), line, " ".join(comment.split())[:100])


def fingerprint(raw: bytes) -> str:
    """SHA-256 of a key's bytes in base64 without padding."""
    return base64.b64encode(hashlib.sha256(raw).digest()).decode().rstrip("=")


def _refusal(algorithm: str) -> str:
    if algorithm in ("ssh-dss", "ssh-dsa"):
        return "DSA keys are no longer safe, so none is taken."
    if algorithm.startswith("sk-"):
        return "Keys of security tokens are not taken here."
    return "That is not a public key of OpenSSH."
