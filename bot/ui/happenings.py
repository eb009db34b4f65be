"""The activity log in words: one sentence for each event, the only place that has them. Pure.

`tests/house/test_happenings.py` finds every event the code writes and asks for its words here.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from bot.ui.text import clip, code, plain
from core.clock import unix
from core.models.activity import Activity
from core.permissions import MEANINGS, meaning
from core.vocabulary import ActorKind, Outcome


class Words(NamedTuple):
    """What somebody did, and what they wanted to do; `{it}` is the server."""

    did: str
    do: str


WORDS: dict[str, Words] = {
    "admin:allocation.create": Words("added addresses to a node", "add addresses to a node"),
    "admin:allocation.delete": Words("removed an address of a node", "remove an address of a node"),
    "admin:location.create": Words("made a location", "make a location"),
    "admin:location.delete": Words("deleted a location", "delete a location"),
    "admin:location.update": Words("changed a location", "change a location"),
    "admin:node.create": Words("made a node", "make a node"),
    "admin:node.delete": Words("deleted a node", "delete a node"),
    "admin:node.update": Words("changed a node", "change a node"),
    "admin:server.build": Words("changed the limits of {it}", "change the limits of {it}"),
    "admin:server.details": Words("changed the details of {it}", "change the details of {it}"),
    "admin:server.startup": Words("changed how {it} starts", "change how {it} starts"),
    "admin:server.suspend": Words("suspended {it}", "suspend {it}"),
    "admin:server.unsuspend": Words("lifted the suspension of {it}", "lift the suspension of {it}"),
    "admin:user.create": Words("made a user", "make a user"),
    "admin:user.delete": Words("deleted a user", "delete a user"),
    "admin:user.update": Words("changed a user", "change a user"),
    "alert:acknowledge": Words("took on an alert", "take on an alert"),
    "alert:channel": Words("chose the channel for alerts", "choose the channel for alerts"),
    "alert:list": Words("looked at the alerts", "look at the alerts"),
    "alert:mention": Words("chose whom alerts mention", "choose whom alerts mention"),
    "alert:silence": Words("silenced an alert", "silence an alert"),
    "alert:source.create": Words("made a source of alerts", "make a source of alerts"),
    "alert:source.list": Words("looked at the sources of alerts", "look at the sources of alerts"),
    "alert:source.move": Words("moved a source of alerts to another channel", "move a source of alerts to another channel"),
    "alert:source.remove": Words("removed a source of alerts", "remove a source of alerts"),
    "alert:source.rotate": Words("gave a source of alerts a new address", "give a source of alerts a new address"),
    "alert:source.test": Words("tested a source of alerts", "test a source of alerts"),
    "auth:ip-blocked": Words("used an API key from an address it is not for", "use an API key from an address it is not for"),
    "auth:sftp.fail": Words("gave a wrong password for SFTP on {it}", "sign in to SFTP on {it}"),
    "auth:sftp.sign-in": Words("signed in to SFTP on {it}", "sign in to SFTP on {it}"),
    "egg:delete": Words("deleted an egg", "delete an egg"),
    "egg:import": Words("imported an egg", "import an egg"),
    "egg:info": Words("looked at an egg", "look at an egg"),
    "egg:list": Words("looked at the eggs", "look at the eggs"),
    "guild:grant": Words("granted rights on {it}", "grant rights on {it}"),
    "guild:grants": Words("looked at what is granted", "look at what is granted"),
    "guild:requests.rules": Words("changed the rules of restart requests on {it}", "change the rules of restart requests on {it}"),
    "guild:revoke": Words("took back rights on {it}", "take back rights on {it}"),
    "node:create": Words("made a node", "make a node"),
    "node:delete": Words("deleted a node", "delete a node"),
    "node:info": Words("looked at a node", "look at a node"),
    "node:list": Words("looked at the nodes", "look at the nodes"),
    "node:ports.add": Words("added ports to a node", "add ports to a node"),
    "node:ports.remove": Words("removed ports of a node", "remove ports of a node"),
    "node:sftp": Words("changed where SFTP finds a node", "change where SFTP finds a node"),
    "server:activity.read": Words("read the activity of {it}", "read the activity of {it}"),
    "server:allocation.notes": Words("changed the note of an address of {it}", "change the note of an address of {it}"),
    "server:allocation.primary": Words("chose the main address of {it}", "choose the main address of {it}"),
    "server:backup.complete": Words("made a backup of {it}", "make a backup of {it}"),
    "server:backup.delete": Words("deleted a backup of {it}", "delete a backup of {it}"),
    "server:backup.download": Words("downloaded a backup of {it}", "download a backup of {it}"),
    "server:backup.fail": Words("made a backup of {it}", "make a backup of {it}"),
    "server:backup.list": Words("looked at the backups of {it}", "look at the backups of {it}"),
    "server:backup.lock": Words("locked a backup of {it}", "lock a backup of {it}"),
    "server:backup.restore": Words("began to restore a backup of {it}", "restore a backup of {it}"),
    "server:backup.restore-complete": Words("restored a backup of {it}", "restore a backup of {it}"),
    "server:backup.start": Words("began a backup of {it}", "make a backup of {it}"),
    "server:backup.unlock": Words("unlocked a backup of {it}", "unlock a backup of {it}"),
    "server:backup.restore-failed": Words("restored a backup of {it}", "restore a backup of {it}"),
    "server:console.attach": Words("attached the console of {it} to a channel", "attach the console of {it} to a channel"),
    "server:console.command": Words("typed at the console of {it}", "type at the console of {it}"),
    "server:console.detach": Words("detached the console of {it}", "detach the console of {it}"),
    "server:console.read": Words("read the console of {it}", "read the console of {it}"),
    "server:create": Words("made the server {it}", "make the server {it}"),
    "server:create.node": Words("told the node of {it}", "tell the node of {it}"),
    "server:delete": Words("deleted the server {it}", "delete the server {it}"),
    "server:file.upload": Words("asked for an upload to {it}", "upload a file to {it}"),
    "server:file.uploaded": Words("uploaded a file to {it}", "upload a file to {it}"),
    "server:install": Words("installed {it}", "install {it}"),
    "server:power.kill": Words("killed {it}", "kill {it}"),
    "server:power.restart": Words("restarted {it}", "restart {it}"),
    "server:power.start": Words("started {it}", "start {it}"),
    "server:power.stop": Words("stopped {it}", "stop {it}"),
    "server:reinstall": Words("reinstalled {it}", "reinstall {it}"),
    "server:request.approve": Words("approved a restart request for {it}", "approve a restart request for {it}"),
    "server:request.ask": Words("asked for a restart of {it}", "ask for a restart of {it}"),
    "server:request.call-off": Words("called off a restart of {it}", "call off a restart of {it}"),
    "server:request.cancel": Words("cancelled a restart request for {it}", "cancel a restart request for {it}"),
    "server:request.cancelled": Words("cancelled a restart of {it}", "carry out a request to restart {it}"),
    "server:request.done": Words("restarted {it} by request", "restart {it} by request"),
    "server:request.expire": Words("let a restart request for {it} run out", "let a restart request for {it} run out"),
    "server:request.expired": Words("let a restart request for {it} run out", "carry out a request to restart {it}"),
    "server:request.failed": Words("restarted {it} by request", "restart {it} by request"),
    "server:request.pass": Words("counted enough votes for a restart of {it}", "count the votes for a restart of {it}"),
    "server:request.read": Words("looked at the restart requests of {it}", "look at the restart requests of {it}"),
    "server:request.veto": Words("vetoed a restart of {it}", "veto a restart of {it}"),
    "server:request.vetoed": Words("vetoed a restart of {it}", "carry out a request to restart {it}"),
    "server:request.vote": Words("voted on a restart of {it}", "vote on a restart of {it}"),
    "server:request.warn": Words("warned the players of {it} of its restart", "warn the players of {it} of its restart"),
    "server:request.withdraw": Words("took back their vote for a restart of {it}", "take back their vote for a restart of {it}"),
    "server:settings.description": Words("changed the description of {it}", "change the description of {it}"),
    "server:settings.rename": Words("renamed {it}", "rename {it}"),
    "server:sftp.create": Words("made files on {it} by SFTP", "make files on {it} by SFTP"),
    "server:sftp.create-directory": Words("made folders on {it} by SFTP", "make folders on {it} by SFTP"),
    "server:sftp.delete": Words("deleted files on {it} by SFTP", "delete files on {it} by SFTP"),
    "server:sftp.rename": Words("renamed files on {it} by SFTP", "rename files on {it} by SFTP"),
    "server:sftp.write": Words("changed files on {it} by SFTP", "change files on {it} by SFTP"),
    "server:startup.edit": Words("changed a start-up variable of {it}", "change a start-up variable of {it}"),
    "server:startup.image": Words("changed the image of {it}", "change the image of {it}"),
    "server:subuser.read": Words("looked at who may use {it}", "look at who may use {it}"),
    "server:websocket": Words("opened the console of {it}", "open the console of {it}"),
    "user:api-key.create": Words("made an API key", "make an API key"),
    "user:api-key.delete": Words("deleted an API key", "delete an API key"),
    "user:sftp-password.create": Words("made a new password for SFTP", "make a new password for SFTP"),
    "user:sftp-password.delete": Words("revoked their password for SFTP", "revoke their password for SFTP"),
    "user:ssh-key.create": Words("added an SSH key", "add an SSH key"),
    "user:ssh-key.delete": Words("removed an SSH key", "remove an SSH key"),
}
"""By event, as services write them and nodes report them."""

_ICONS = {Outcome.OK: "", Outcome.REFUSED: "🚫 ", Outcome.FAILED: "⚠️ "}
LINE = 390  # characters; ten lines are one page


def words_of(event: str) -> Words:
    """An event's words; of one nobody knows here, its name. A refused access without a name of its own is `server:` and the permission."""
    if (known := WORDS.get(event)) is not None:
        return known
    permission = event.removeprefix("server:")
    if permission in MEANINGS:
        what = meaning(permission, "{it}")
        return Words(what, what)
    name = code(event, 60).replace("{", "").replace("}", "")
    return Words(f"did {name} on {{it}}", f"do {name} on {{it}}")


def sentence_of(row: Activity, names: Mapping[int, str]) -> str:
    """Who did or wanted what, when, from where, and what came of it; at most LINE characters."""
    outcome = Outcome(row.outcome) if row.outcome in list(Outcome) else Outcome.OK
    words, who = words_of(row.event), _who(row)
    what = (words.did if outcome is Outcome.OK else words.do).format(it=_server(row, names))
    wanted = "" if outcome is Outcome.OK else "wanted to "
    line = f"{_ICONS[outcome]}<t:{unix(row.at)}:R> {who} {wanted}{what}{_details(row.details)}{_origin(row)}"
    if outcome is not Outcome.OK:
        line += f": {'it failed' if outcome is Outcome.FAILED else 'refused'}. {plain(row.reason, 160)}".rstrip()
    return clip(line, LINE)


def _who(row: Activity) -> str:
    name = f"**{plain(row.actor_name, 60) or 'Somebody'}**"
    return f"The node {name}" if row.actor_kind == ActorKind.NODE else name


def _server(row: Activity, names: Mapping[int, str]) -> str:
    if row.server_id is not None and row.server_id in names:
        return f"**{plain(names[row.server_id], 60)}**"
    return f"a server that is gone (`{row.server_uuid[:8]}`)" if row.server_uuid else "all servers"


def _details(details: Mapping[str, Any]) -> str:
    """The part of an event's metadata that people want to read."""
    if isinstance(command := details.get("command"), str):
        return f": {code(command) or 'nothing'}"
    if isinstance(files := details.get("files"), list) and files:
        shown = [plain(f"{one.get('from')} → {one.get('to')}" if isinstance(one, dict) else str(one), 60) for one in files[:2]]
        more = len(files) - len(shown) + (details.get("files_more") or 0)
        return f": {', '.join(shown)}" + (f" and {more} more" if more else "")
    role, user = details.get("role"), details.get("user")
    whom = f"<@&{role}>" if isinstance(role, int) else f"<@{user}>" if isinstance(user, int) else ""
    if whom:
        return f", {whom}" + (f" as {plain(str(details['preset']), 20)}" if details.get("preset") else "")
    if isinstance(mark := details.get("fingerprint"), str):
        return f" {code(f'SHA256:{mark}', 60)}"
    return ""


def _origin(row: Activity) -> str:
    kind, _, rest = row.origin.partition(":")
    if kind == "discord":
        return f" in <#{rest}>" if rest.isdigit() else ""
    if kind == "request":
        return ""  # the request is who did it, and is named so
    return f" from {plain(row.origin, 60)}" if row.origin else ""
