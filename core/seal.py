"""Secrets at rest: sealed with one key (Fernet), or, for passwords, kept as a hash (Argon2id).

Must never log or show what it seals, and never invent a key for a shared database. Hashing takes tens of milliseconds of a core: call it
in a thread.
The key is the setting `[security] key`; with SQLite it may be left out, then a key file lies beside the database,
readable by its owner alone.
"""

import os
import secrets
from pathlib import Path

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from cryptography.fernet import Fernet, InvalidToken

from core.errors import NotConfigured

KEY_FILE = "aerie.key"


class Seal:
    """Seals and opens short secrets with one key."""

    def __init__(self, key: str) -> None:
        try:
            self._fernet = Fernet(key.strip().encode())
        except ValueError:
            raise NotConfigured(
                "The setting security.key is not a key: it must be 32 random bytes in url-safe base64.", hint=_HOW_TO_MAKE_ONE
            ) from None

    def __repr__(self) -> str:
        return "Seal()"

    def close(self, secret: str) -> str:
        """The secret, sealed."""
        return self._fernet.encrypt(secret.encode()).decode()

    def open(self, sealed: str) -> str:
        """The secret again. Raises NotConfigured when it was sealed with another key."""
        try:
            return self._fernet.decrypt(sealed.encode()).decode()
        except InvalidToken:
            raise NotConfigured(
                "A secret in the database was sealed with another key than security.key.",
                hint="Give back the key this database was used with; without it, make the nodes' tokens anew.",
            ) from None


_HOW_TO_MAKE_ONE = (
    'Make one with: python -c "from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())" and keep a copy of it.'
)


def new_key() -> str:
    return Fernet.generate_key().decode()


def open_seal(key: str, database_url: str) -> Seal:
    """The seal of this database: the configured key, else the key file beside a SQLite file (made when missing, mode 0600).

    Raises NotConfigured for MariaDB without a key, and for a key file that cannot be read or made.
    """
    if key:
        return Seal(key)
    scheme, _, path = database_url.partition(":///")
    if not scheme.startswith("sqlite"):
        raise NotConfigured("The setting security.key is missing; a MariaDB database needs it to seal secrets.", hint=_HOW_TO_MAKE_ONE)
    path = path.partition("?")[0]
    if not path or path == ":memory:":
        return Seal(new_key())
    file = Path(path).parent / KEY_FILE
    try:
        return Seal(_read_or_make(file))
    except OSError as error:
        raise NotConfigured(
            f"The key file {file} cannot be used: {error.strerror}.", hint="Correct its rights, or set security.key."
        ) from None


def _read_or_make(file: Path) -> str:
    """Two processes may come at once; the first one's key wins for both, and nobody ever reads half a key."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        fresh = file.with_name(f".{file.name}.{secrets.token_hex(6)}")
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as handle:
            handle.write(new_key() + "\n")
        try:
            os.link(fresh, file)
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
    return file.read_text(encoding="ascii").strip()


_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)  # OWASP's least; the passwords are ours, long and random


def hash_password(password: str) -> str:
    return _HASHER.hash(password)


def password_fits(hashed: str | None, password: str) -> bool:
    """Whether the password is the hashed one. Without a hash the answer is no, and takes as long."""
    try:
        _HASHER.verify(hashed or _NOBODYS, password)
    except (VerificationError, InvalidHashError):
        return False
    return hashed is not None


_NOBODYS = "$argon2id$v=19$m=19456,t=2,p=1$WZdd9+M7C8p6TqeXkQQaUw$SvUkYX+Q1ZRgWeDQivXNA3cdo6/Bv5H644MDl2Nt/Js"
"""Of a password nobody has."""
