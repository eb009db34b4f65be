"""A Wings config.yml (Pterodactyl's or Pelican's) as Aerie's settings, and in words what of it has no effect here.

Pure: text in, values out; core/config.py alone reads the file, and nobody changes it. Every key that Wings knows stands below: either with
the setting that it becomes, or with the reason why it means nothing here. Keys and defaults are those of Wings 1.11 and of Pelican.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

PLACES = (PurePath("/etc/pterodactyl/config.yml"), PurePath("/etc/pelican/config.yml"))
"""Where Wings keeps its configuration."""

Tree = dict[str, Any]

_NOTHING = ("", "null", "Null", "NULL", "~")
_TRUE = ("true", "yes", "on", "y")

_BECOMES = {
    "token_id": "remote.token_id",
    "token": "remote.token",
    "remote": "remote.url",
    "remote_query.timeout": "remote.timeout",
    "remote_query.boot_servers_per_page": "remote.boot_servers_per_page",
    "api.host": "api.host",
    "api.port": "api.port",
    "api.trusted_proxies": "api.trusted_proxies",
    "api.upload_limit": "api.upload_limit",
    "system.root_directory": "system.root_directory",
    "system.log_directory": "system.log_directory",
    "system.data": "system.data",
    "system.backup_directory": "backups.directory",
    "system.timezone": "system.timezone",
    "system.user.uid": "system.uid",
    "system.user.gid": "system.gid",
    "system.check_permissions_on_boot": "system.check_permissions_on_boot",
    "system.websocket_log_count": "system.websocket_log_count",
    "system.sftp.bind_address": "sftp.host",
    "system.sftp.bind_port": "sftp.port",
    "system.sftp.read_only": "sftp.read_only",
    "system.crash_detection.enabled": "crash.enabled",
    "system.crash_detection.detect_clean_exit_as_crash": "crash.detect_clean_exit_as_crash",
    "system.crash_detection.timeout": "crash.timeout",
    "docker.network.interface": "docker.interface",
    "docker.network.dns": "docker.dns",
    "docker.network.interfaces.v4.subnet": "docker.network_subnet",
    "docker.network.interfaces.v4.gateway": "docker.network_gateway",
    "docker.network.driver": "docker.network_driver",
    "docker.network.ispn": "docker.ispn",
    "docker.network.is_internal": "docker.network_internal",
    "docker.network.network_mtu": "docker.network_mtu",
    "docker.userns_mode": "docker.userns_mode",
    "docker.domainname": "docker.domainname",
    "docker.tmpfs_size": "docker.tmpfs_size",
    "docker.container_pid_limit": "docker.container_pid_limit",
    "docker.installer_limits.memory": "install.memory",
    "docker.installer_limits.cpu": "install.cpu",
    "docker.log_config.type": "docker.log_driver",
    "docker.log_config.config.max-size": "docker.log_max_size",
    "docker.log_config.config.max-file": "docker.log_max_file",
    "throttles.enabled": "throttles.enabled",
    "throttles.lines": "throttles.lines",
    "throttles.line_reset_interval": "throttles.line_reset_interval",
    "allowed_origins": "allowed_origins",
    "allow_cors_private_network": "allow_cors_private_network",
    "allowed_mounts": "allowed_mounts",
    "ignore_panel_config_updates": "ignore_panel_config_updates",
}

_TREATED = frozenset(
    {
        "debug",
        "api.ssl.enabled",
        "api.ssl.cert",
        "api.ssl.key",
        "api.disable_remote_download",
        "docker.network.name",
        "docker.network.network_mode",
        "docker.registries",
        "docker.overhead.override",
        "docker.overhead.default_multiplier",
        "docker.overhead.multipliers",
        "system.username",
    }
)
"""Keys that become settings by rules of their own, in `translate`."""

_MEANINGLESS = frozenset(
    {
        "uuid",  # the node is known by its token
        "system.archive_directory",  # Wings itself does not use it any more
        "docker.use_performant_inspect",
        "docker.log_config.config.compress",
        "docker.log_config.config.mode",
        "system.user.passwd_file",
        "system.user.rootless.container_uid",
        "system.user.rootless.container_gid",
    }
)
"""Keys that say nothing by themselves."""


@dataclass(frozen=True)
class _Idle:
    """A key without effect: its default in Wings, as text, and the reason. At its default nothing is told, since nothing is missed."""

    default: str
    why: str


_NO_EFFECT = {
    "app_name": _Idle("Pterodactyl", "notices at the console are signed by Aerie"),
    "system.tmp_directory": _Idle("/tmp/pterodactyl", "install scripts lie in root_directory while they run"),  # noqa: S108
    "system.user.rootless.enabled": _Idle("false", "an engine without root is recognised by itself, see docs/operate/podman.md"),
    "system.user.mount_passwd": _Idle("false", "no passwd file is mounted into containers"),
    "system.disk_check_interval": _Idle("150", "usage is kept up to date in another way"),
    "system.activity_send_interval": _Idle("60", "activity is sent once a minute"),
    "system.activity_send_count": _Idle("100", "activity is sent a hundred entries at a time"),
    "system.crash_detection_activity_lines": _Idle("2", "a crash is told with its last 200 lines"),
    "system.enable_log_rotate": _Idle("true", "the log goes to standard error, for systemd or Docker to keep"),
    "system.backups.write_limit": _Idle("0", "there is no limit for the writing of backups"),
    "system.backups.compression_level": _Idle("best_speed", "backups are compressed in Aerie's own way"),
    "system.backups.remove_backups_on_server_delete": _Idle("true", "the control plane says when a backup goes"),
    "system.transfers.download_limit": _Idle("0", "there is no limit for transfers"),
    "system.openat_mode": _Idle("auto", "files are opened by descriptors below the server's root, always"),
    "remote_query.custom_headers": _Idle("", "no headers of one's own are sent to the control plane"),
    "docker.system_ips": _Idle("", "the control plane gives servers their addresses"),
    "docker.enable_native_kvm": _Idle("false", "no device of the machine is handed to a server"),
    "Search": _Idle("", "the file search has limits of its own"),
    "BlockBaseDirMount": _Idle("true", "nothing is ever mounted over a server's own files"),
    "docker.network.IPv6": _Idle("true", "a network that must be made has the addresses of network_subnet"),
    "docker.network.enable_icc": _Idle("true", "a network that must be made lets no server reach another"),
    "docker.network.interfaces.v6.subnet": _Idle("fdba:17c8:6c94::/64", "a network that must be made has no IPv6 of its own"),
    "docker.network.interfaces.v6.gateway": _Idle("fdba:17c8:6c94::1011", "a network that must be made has no IPv6 of its own"),
}

_OPEN = frozenset(
    {
        "remote_query.custom_headers",
        "docker.registries",
        "docker.overhead.multipliers",
        "Search",
    }
)
"""Tables whose keys are the owner's own, looked at as one."""


@dataclass
class Translation:
    """`values` as the tables of a settings file hold them; `remarks`, one sentence each, about what has no effect."""

    values: Tree = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

    def put(self, setting: str, value: Any) -> None:
        *tables, key = setting.split(".")
        holder = self.values
        for table in tables:
            holder = holder.setdefault(table, {})
        holder[key] = value


def is_wings(file: PurePath) -> bool:
    """Whether a settings file of this name is Wings'."""
    return file.suffix.lower() in (".yml", ".yaml")


def translate(text: str, *, timezone: str = "UTC", ids: Callable[[str], tuple[int, int] | None] = lambda name: None) -> Translation:
    """Read a config.yml. Raises ValueError with what is wrong with the text.

    `timezone` is the machine's, `ids` gives the uid and gid of a user of this machine by name; Wings asks for both at its start.
    """
    tree = _read(text)
    found = dict(_leaves(tree))
    pelican = _text(found.get("app_name")).lower() == "pelican" or _text(found.get("system.username")) == "pelican"
    name = "pelican" if pelican else "pterodactyl"
    made = Translation()
    for setting, value in _defaults(name).items():
        made.put(setting, value)
    made.put("system.timezone", timezone)
    if (known := ids(_text(found.get("system.username")) or name)) is not None:
        made.put("system.uid", known[0])
        made.put("system.gid", known[1])
    for key, value in found.items():
        if key in _BECOMES:
            if _given(value) and not (key.startswith("system.user.") and value == "0"):
                made.put(_BECOMES[key], value)
        elif key in _NO_EFFECT:
            made.remarks += _remark(key, value, name)
        elif key.startswith("docker.log_config.config.") and key not in _MEANINGLESS:
            made.remarks.append(f"{key} has no effect: of the log driver's options, max-size and max-file are used.")
        elif key not in _MEANINGLESS and key not in _TREATED:
            made.remarks.append(f"{key} is no key of Wings' that we know: it has no effect.")
    _by_rules(made, found, name)
    return made


def _by_rules(made: Translation, found: Mapping[str, Any], name: str) -> None:
    """What is not one key for one setting."""
    if _text(found.get("debug")).lower() in _TRUE:
        made.put("log.level", "DEBUG")
    if _text(found.get("api.ssl.enabled")).lower() in _TRUE:
        made.put("api.certificate", _text(found.get("api.ssl.cert")) or None)
        made.put("api.key", _text(found.get("api.ssl.key")) or None)
    if _text(found.get("api.disable_remote_download")).lower() in _TRUE:
        made.put("pull.enabled", False)
    own = _text(found.get("docker.network.name")) or f"{name}_nw"
    joined = _text(found.get("docker.network.network_mode")) or own
    made.put("docker.network", joined)
    if joined != own:
        made.remarks.append(f"docker.network.name ({own}) has no effect: servers join {joined}, as network_mode says.")
    if _given(logins := found.get("docker.registries")):
        made.put("docker.registries", logins)
    if _text(found.get("docker.overhead.override")).lower() in _TRUE:
        own_default = _text(found.get("docker.overhead.default_multiplier")) or "1.05"
        multipliers = found.get("docker.overhead.multipliers")
        made.put("docker.overhead", multipliers if _given(multipliers) else {"0": own_default})
        made.put("docker.overhead_default", own_default)
    if (url := made.values.get("remote", {}).get("url")) is not None:
        made.put("remote.url", str(url).rstrip("/"))
    secret = _text(found.get("token"))
    if secret.startswith("file://"):
        del made.values["remote"]["token"]
        made.put("remote.token_file", secret.removeprefix("file://"))
    if _text(found.get("docker.log_config.config.mode")) == "blocking":
        made.remarks.append("docker.log_config.config.mode has no effect: a full log never stops a game.")


def _defaults(name: str) -> dict[str, Any]:
    """Wings' defaults where ours differ: an untouched key means the same as under Wings."""
    return {
        "system.root_directory": f"/var/lib/{name}",
        "system.data": f"/var/lib/{name}/volumes",
        "system.log_directory": f"/var/log/{name}",
        "backups.directory": f"/var/lib/{name}/backups",
        "api.unscoped_tokens": True,  # the file does not say how old the panel is
        "docker.network_subnet": "172.18.0.0/16",
    }


def _remark(key: str, value: Any, name: str) -> Iterator[str]:
    idle = _NO_EFFECT[key]
    usual = {idle.default.lower(), idle.default.replace("pterodactyl", name).lower(), name if key == "app_name" else idle.default.lower()}
    if _given(value) and (not isinstance(value, str) or value.lower() not in usual):
        yield f"{key} has no effect: {idle.why}."


def _read(text: str) -> Tree:
    """Every plain value as its own letters, as Go's reader hands them to a text: a token of digits stays one."""
    yaml = YAML(typ="base", pure=True)
    yaml.allow_duplicate_keys = True
    try:
        tree: Any = yaml.load(text.lstrip("\ufeff"))
    except (YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark is not None else ""
        raise ValueError(f"{where}{getattr(error, 'problem', None) or 'it is no YAML'}") from error
    if not isinstance(tree, dict):
        raise ValueError("it holds no table of keys")
    return tree


def _leaves(tree: Tree, above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        key = f"{above}{name}"
        if isinstance(value, dict) and value and key not in _OPEN:
            yield from _leaves(value, f"{key}.")
        else:
            yield key, value


def _given(value: Any) -> bool:
    return value not in _NOTHING if isinstance(value, str) else bool(value)


def _text(value: Any) -> str:
    return value if isinstance(value, str) and value not in _NOTHING else ""
