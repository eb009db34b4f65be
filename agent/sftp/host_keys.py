"""The node's SSH host keys: made once, kept in the agent's own folder, readable by it alone. A node that ran Wings keeps Wings' key."""

import os
from pathlib import Path

import asyncssh

from core.errors import NotConfigured

KINDS: tuple[tuple[str, str, dict[str, int]], ...] = (
    ("ssh_host_ed25519_key", "ssh-ed25519", {}),
    ("ssh_host_rsa_key", "ssh-rsa", {"key_size": 3072}),
)


def host_keys(folder: Path, adopted: Path) -> list[asyncssh.SSHKey]:
    """In a thread. `adopted` is Wings' ed25519 key, used instead of one of our own when it is there. Raises NotConfigured."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        keys = [_kept(folder / name, algorithm, options) for name, algorithm, options in KINDS if not _replaced(algorithm, adopted)]
        return ([asyncssh.read_private_key(adopted)] if adopted.exists() else []) + keys
    except (OSError, asyncssh.KeyImportError) as error:
        raise NotConfigured(f"The SFTP host keys in {folder} cannot be used: {error}.", hint="Mend or delete that file.") from error


def _replaced(algorithm: str, adopted: Path) -> bool:
    return algorithm == "ssh-ed25519" and adopted.exists()


def _kept(file: Path, algorithm: str, options: dict[str, int]) -> asyncssh.SSHKey:
    if not file.exists():
        made = asyncssh.generate_private_key(algorithm, comment="aerie", **options)
        fresh = file.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as out:
            out.write(made.export_private_key("openssh"))
            out.flush()
            os.fsync(out.fileno())
        fresh.replace(file)
    return asyncssh.read_private_key(file)
