"""Discord's refusals: status, JSON error code, message and the tree of form errors.

Rules collect what is wrong in a `Form` and raise once, so that a body with three mistakes is told all three, as Discord
does. This module must never decide what is wrong; it only knows how Discord says it.
"""

from typing import Any

Json = dict[str, Any]


class DiscordError(Exception):
    """A refusal as the API answers it: HTTP `status`, Discord's numeric `code`, its message and optional form errors."""

    def __init__(self, status: int, code: int, message: str, errors: Json | None = None) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.errors = errors

    def body(self) -> Json:
        """The JSON body Discord sends."""
        body: Json = {"message": self.message, "code": self.code}
        if self.errors:
            body["errors"] = self.errors
        return body


class Form:
    """A place in a request body where mistakes are noted; children share one tree.

    `form.at("embeds", 0, "title").add("BASE_TYPE_MAX_LENGTH", "Must be 256 or fewer in length.")`
    """

    def __init__(self, tree: Json | None = None, path: tuple[str, ...] = ()) -> None:
        self._tree: Json = {} if tree is None else tree
        self._path = path

    def at(self, *keys: str | int) -> "Form":
        """The same form, deeper in the body."""
        return Form(self._tree, self._path + tuple(str(key) for key in keys))

    def add(self, code: str, message: str) -> None:
        """Notes one mistake at this place."""
        node = self._tree
        for key in self._path:
            node = node.setdefault(key, {})
        node.setdefault("_errors", []).append({"code": code, "message": message})

    @property
    def failed(self) -> bool:
        """Whether any mistake was noted anywhere in the tree."""
        return bool(self._tree)

    def check(self) -> None:
        """Raises 50035 with the whole tree when something was noted."""
        if self._tree:
            raise DiscordError(400, 50035, "Invalid Form Body", self._tree)

    # The mistakes Discord words the same everywhere.
    def required(self) -> None:
        """The key is missing."""
        self.add("BASE_TYPE_REQUIRED", "This field is required")

    def bad_type(self, code: str, message: str) -> None:
        """The value has the wrong JSON type."""
        self.add(code, message)

    def choices(self, allowed: object) -> None:
        """The value is not one of a fixed set."""
        self.add("BASE_TYPE_CHOICES", f"Value must be one of {allowed}.")

    def too_long(self, limit: int) -> None:
        """A string longer than `limit` code points."""
        self.add("BASE_TYPE_MAX_LENGTH", f"Must be {limit} or fewer in length.")

    def bad_length(self, low: int, high: int) -> None:
        """A string or list outside its bounds."""
        self.add("BASE_TYPE_BAD_LENGTH", f"Must be between {low} and {high} in length.")


def invalid(path: tuple[str | int, ...], code: str, message: str) -> DiscordError:
    """A 50035 with a single mistake."""
    form = Form()
    form.at(*path).add(code, message)
    return DiscordError(400, 50035, "Invalid Form Body", form._tree)


def unknown(what: str, code: int) -> DiscordError:
    """A 404 with Discord's "Unknown ..." code."""
    return DiscordError(404, code, f"Unknown {what}")


def unknown_channel() -> DiscordError:
    """10003."""
    return unknown("Channel", 10003)


def unknown_guild() -> DiscordError:
    """10004."""
    return unknown("Guild", 10004)


def unknown_member() -> DiscordError:
    """10007."""
    return unknown("Member", 10007)


def unknown_message() -> DiscordError:
    """10008."""
    return unknown("Message", 10008)


def unknown_role() -> DiscordError:
    """10011."""
    return unknown("Role", 10011)


def unknown_user() -> DiscordError:
    """10013."""
    return unknown("User", 10013)


def unknown_emoji() -> DiscordError:
    """10014."""
    return unknown("Emoji", 10014)


def unknown_webhook() -> DiscordError:
    """10015."""
    return unknown("Webhook", 10015)


def unknown_interaction() -> DiscordError:
    """10062: answered too late, or never existed."""
    return unknown("interaction", 10062)


def unknown_command() -> DiscordError:
    """10063."""
    return unknown("application command", 10063)


def missing_access() -> DiscordError:
    """50001: the bot cannot see it."""
    return DiscordError(403, 50001, "Missing Access")


def missing_permissions() -> DiscordError:
    """50013: the bot may see it, but not do this."""
    return DiscordError(403, 50013, "Missing Permissions")


def unauthorized() -> DiscordError:
    """401 with code 0."""
    return DiscordError(401, 0, "401: Unauthorized")


def already_acknowledged() -> DiscordError:
    """40060."""
    return DiscordError(400, 40060, "Interaction has already been acknowledged.")


def invalid_webhook_token() -> DiscordError:
    """50027: also what an interaction token answers after its 15 minutes."""
    return DiscordError(401, 50027, "Invalid Webhook Token")


def empty_message() -> DiscordError:
    """50006."""
    return DiscordError(400, 50006, "Cannot send an empty message")
