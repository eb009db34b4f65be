"""Pterodactyl's permission keys, what each means in words, and the presets a role can be granted.

Keys and meaning follow the panel (Permission model, 1.11). `*` grants every key, but never one that begins with `admin`.
"""

import re
from collections.abc import Collection

ALL = "*"

ACTIVITY_READ = "activity.read"
CONNECT = "websocket.connect"
CONTROL_CONSOLE = "control.console"
CONTROL_START = "control.start"
CONTROL_STOP = "control.stop"
CONTROL_RESTART = "control.restart"
FILE_SFTP = "file.sftp"
USER_READ = "user.read"
USER_UPDATE = "user.update"

MEANINGS: dict[str, str] = {
    CONNECT: "see it, its state and its console",
    CONTROL_CONSOLE: "send commands to its console",
    CONTROL_START: "start it",
    CONTROL_STOP: "stop it",
    CONTROL_RESTART: "restart it",
    "user.create": "add subusers",
    USER_READ: "see who may use it",
    USER_UPDATE: "change who may use it",
    "user.delete": "remove subusers",
    "file.create": "create files",
    "file.read": "list files",
    "file.read-content": "read files",
    "file.update": "change files",
    "file.delete": "delete files",
    "file.archive": "make and unpack archives",
    FILE_SFTP: "use SFTP",
    "backup.create": "make backups",
    "backup.read": "see backups",
    "backup.delete": "delete backups",
    "backup.download": "download backups",
    "backup.restore": "restore backups",
    "allocation.read": "see its addresses",
    "allocation.create": "add addresses",
    "allocation.update": "change addresses",
    "allocation.delete": "remove addresses",
    "startup.read": "see start-up variables",
    "startup.update": "change start-up variables",
    "startup.docker-image": "change its image",
    "database.create": "create databases",
    "database.read": "see databases",
    "database.update": "rotate database passwords",
    "database.delete": "delete databases",
    "database.view_password": "see database passwords",
    "schedule.create": "create schedules",
    "schedule.read": "see schedules",
    "schedule.update": "change schedules",
    "schedule.delete": "delete schedules",
    "settings.rename": "rename it",
    "settings.reinstall": "reinstall it",
    ACTIVITY_READ: "see its activity",
}

GROUPS = {
    "websocket": "The server's live console and state.",
    "control": "Power and the console.",
    "user": "Who may use the server.",
    "file": "The server's files.",
    "backup": "Backups.",
    "allocation": "Addresses and ports.",
    "startup": "Start-up variables and the image.",
    "database": "Databases.",
    "schedule": "Schedules.",
    "settings": "Name and reinstallation.",
    "activity": "The log of what was done.",
}
"""What the keys before the dot are about."""

ADMIN_SOCKET = ("admin.websocket.errors", "admin.websocket.install", "admin.websocket.transfer")
"""What the control plane itself carries beside `*`, to hear installers and whole errors."""

PRESETS: dict[str, frozenset[str]] = {
    "viewer": frozenset({CONNECT, ACTIVITY_READ}),
    "operator": frozenset({CONNECT, CONTROL_START, CONTROL_STOP, CONTROL_RESTART, ACTIVITY_READ, "backup.read"}),
    "moderator": frozenset(
        {
            CONNECT,
            CONTROL_CONSOLE,
            CONTROL_START,
            CONTROL_STOP,
            CONTROL_RESTART,
            ACTIVITY_READ,
            "backup.read",
            "backup.create",
            "schedule.read",
            USER_READ,
        }
    ),
    "manager": frozenset({ALL}),
}
"""What a Discord role or a member can be granted in one word."""


def allows(held: Collection[str], permission: str) -> bool:
    """Whether the held keys grant `permission`, by the panel's and Wings' rule for `*`."""
    return permission in held or (ALL in held and not permission.startswith("admin"))


def meaning(permission: str, of: str = "", whose: str = "") -> str:
    """The permission in words that finish «you may …»; `of` names what it is about and `whose` is its genitive, else it is «it»."""
    words = "manage it" if permission == ALL else MEANINGS.get(permission, permission)
    if not of:
        return words
    named, count = re.subn(r"\bit(s?)\b", lambda m: (whose or f"{of}’s") if m[1] else of, words, count=1)
    return named if count else f"{words} on {of}"
