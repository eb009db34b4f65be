"""What a signed-in person may do to one server's files, as the control plane granted it at sign-in."""

from dataclasses import dataclass

from core import permissions
from core.errors import Forbidden

READ, READ_CONTENT, CREATE, UPDATE, DELETE = "file.read", "file.read-content", "file.create", "file.update", "file.delete"


@dataclass(frozen=True, slots=True)
class Grant:
    """Who signed in, to which server, with which permissions."""

    user: str
    server: str
    permissions: frozenset[str]

    def check(self, permission: str) -> None:
        """Raises Forbidden naming the permission."""
        if permission not in self.permissions and permissions.ALL not in self.permissions:
            raise Forbidden(
                f"You may not {permissions.MEANINGS[permission]}: you lack the permission {permission}.",
                hint="Whoever manages the server's access can grant it.",
            )
