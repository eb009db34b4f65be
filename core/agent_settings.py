"""The tables of the settings file that `aerie agent` reads, each setting with its default and its line of explanation.

Values only: core/config.py alone reads the file and the environment.
"""

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr

from core.section import Section


class ApiSection(Section):
    """The agent's own HTTP API."""

    host: str = "0.0.0.0"
    """Address to listen on."""
    port: int = Field(default=8080, ge=0, le=65535)
    """Port to listen on; 0 takes a free one."""
    certificate: Path | None = None
    """PEM file of the TLS certificate with its chain, read again when it changes; empty means plain HTTP."""
    key: Path | None = None
    """PEM file of the certificate's private key, without a password."""
    upload_limit: int = Field(default=100, ge=1)
    """MiB that a file sent by a browser may have; SFTP has no such limit."""
    trusted_proxies: list[str] = Field(default_factory=list)
    """Addresses or networks of proxies before the agent; only from them is X-Forwarded-For believed."""
    shared_key: bool = True
    """Accept tokens of people that are signed with the node's own token, as panels sign them; Aerie signs with a key derived from it."""
    unscoped_tokens: bool = False
    """Accept signed addresses that do not say what they are for, as panels before 1.12.3 make them."""


class RemoteSection(Section):
    """The control plane this agent belongs to."""

    url: str = ""
    """Its address without a trailing slash, for instance http://127.0.0.1:8400."""
    token_id: str = ""
    """The node's public id of 16 letters and digits, as the control plane made it."""
    token: SecretStr = SecretStr("")
    """The node's secret of 64 letters and digits."""
    timeout: float = Field(default=30.0, gt=0)
    """Seconds per call, retries included."""
    boot_servers_per_page: int = Field(default=50, ge=1)
    """Servers fetched per page when the agent starts."""


class SystemSection(Section):
    """Where the agent keeps things. Names follow Wings' config.yml."""

    root_directory: Path = Path("/var/lib/aerie")
    """Folder of the agent's own files, such as the remembered states of its servers."""
    data: Path = Path("/var/lib/aerie/volumes")
    """Folder of the game servers' files, one folder per server."""
    log_directory: Path | None = None
    """Folder of the logs that are kept, such as those of installations; empty means `logs` in root_directory."""
    uid_per_server: bool = True
    """Let each server run as a user of its own that owns its files; off, all run as `uid`, as at Wings."""
    uid_first: int = Field(default=70_000, ge=1)
    """The first of these users' numbers, each its group's as well. They need not exist on the machine, and nobody else may have them."""
    uid_count: int = Field(default=20_000, ge=1)
    """How many there are."""
    uid: int = 988
    """User that all game processes run as and that owns their files, when servers have none of their own."""
    gid: int = 988
    """Group of that user."""
    timezone: str = "UTC"
    """Time zone handed to game servers as TZ."""
    check_permissions_on_boot: bool = True
    """Hand a server's files to its user before each start. One whose folder is another user's gets them in any case."""
    disk_quota: Literal["auto", "off"] = "auto"
    """`auto` lets the kernel hold servers to their disk limits where the file system can, see docs/disk.md; `off` only counts and stops."""
    disk_inodes: int = Field(default=1_000_000, ge=0)
    """Files and folders a server may have, where the kernel limits them (ext4, xfs); 0 sets no limit."""
    websocket_log_count: int = Field(default=150, ge=0)
    """Past console lines a new viewer gets."""


class RegistryLogin(Section):
    """Who the node is at one registry."""

    username: str = ""
    """Name of the account."""
    password: SecretStr = SecretStr("")
    """Its password or token."""


class DockerSection(Section):
    """The Docker Engine and what every container gets."""

    host: str = ""
    """Docker Engine to use, for instance unix:///var/run/docker.sock; empty means DOCKER_HOST, else the usual socket."""
    runtime: Literal["docker", "process"] = "docker"
    """`process` runs games as plain child processes without any isolation: only for the demo where no Docker can be had."""
    network: str = "aerie_nw"
    """Docker network of game servers; made when missing."""
    network_driver: str = "bridge"
    """Its driver, used when it is made, as all that follows."""
    network_subnet: str = "172.29.0.0/16"
    """Its IPv4 addresses; empty lets Docker choose."""
    network_gateway: str = ""
    """The machine's own address in it; empty means the first one."""
    network_subnet6: str = ""
    """Its IPv6 addresses, for instance fdba:17c8:6c94::/64; empty makes it without IPv6, which published ports do not need."""
    network_gateway6: str = ""
    """The machine's own IPv6 address in it; empty means the first one."""
    network_icc: bool = False
    """Let servers in it reach each other directly; Wings does."""
    network_internal: bool = False
    """Cut servers off from everything outside, in it and in networks of their own."""
    network_mtu: int = Field(default=1500, ge=576, le=65535)
    """Largest packet in bytes, in it and in networks of their own."""
    network_per_server: bool = True
    """Give each server a network of its own, so that servers cannot reach each other; off, all share `network`, as at Wings."""
    network_pool: str = "10.213.0.0/16"
    """Addresses of these networks; what the machine or Docker already uses is passed over."""
    network_prefix: int = Field(default=28, ge=16, le=29)
    """Size of each of them: 28 gives 16 addresses, and the pool room for 4096 networks."""
    shared_networks: list[str] = Field(default_factory=list)
    """Servers that may reach each other, such as a proxy and its backends: `name: uuid uuid`; a label `aerie.network` does the same."""
    host_ports: list[int] = Field(default_factory=list)
    """Ports of this machine that servers may reach, for instance 3306; those of other servers that are published to all they may anyway."""
    denied_networks: list[str] = Field(
        default_factory=lambda: ["169.254.0.0/16", "100.100.100.200/32", "168.63.129.16/32", "192.0.0.192/32", "fd00:ec2::254/128"]
    )
    """Addresses no server reaches: clouds tell their secrets there. Add your own network's, for instance 192.168.0.0/16."""
    ispn: bool = False
    """Publish no port on 127.0.0.1, for networks that span machines."""
    interface: str = ""
    """Address under which servers reach this machine, put into configuration files, and in place of 127.0.0.1 where a server has that; \
empty means the network's gateway, and leaves 127.0.0.1 alone."""
    domainname: str = ""
    """Domain name of the containers; empty gives none."""
    dns: list[str] = Field(default_factory=lambda: ["1.1.1.1", "1.0.0.1"])
    """Name servers of the containers."""
    tmpfs_size: int = Field(default=100, ge=1)
    """MB of /tmp in each container."""
    tmpfs_inodes: int = Field(default=65_536, ge=0)
    """Files and folders that fit there; 0 sets no limit, as podman wants it."""
    container_pid_limit: int = Field(default=512, ge=0)
    """Processes a container may have; 0 sets no limit."""
    nofile: int = Field(default=262_144, ge=1024)
    """Files a process in a container may have open."""
    nproc: int = Field(default=0, ge=0)
    """Processes and threads that one user of the machine may have in all containers together; 0 leaves it to the engine."""
    capabilities: list[str] = Field(
        default_factory=lambda: ["CHOWN", "DAC_OVERRIDE", "FOWNER", "IPC_LOCK", "KILL", "NET_BIND_SERVICE", "SETGID", "SETUID"]
    )
    """Capabilities that an egg may have by its label `aerie.capabilities`; without one, a server has none."""
    label_prefixes: list[str] = Field(default_factory=lambda: ["aerie."])
    """How labels from the control plane must begin to reach a container: other programs on the node may act on labels."""
    log_driver: str = "local"
    """Docker's log driver for the containers."""
    log_max_size: str = "5m"
    """Size at which a container's log is rotated."""
    log_max_file: int = Field(default=1, ge=1)
    """Rotated logs kept per container."""
    pull_policy: Literal["always", "if-not-present", "never"] = "always"
    """When a start asks the registry for its image: always, with the copy that is here when that fails; if-not-present; or never."""
    pull_timeout: float = Field(default=900.0, gt=0)
    """Seconds an image may take to be pulled."""
    image_size_limit: int = Field(default=0, ge=0)
    """MB that an image from a registry may take; 0 sets no limit."""
    registries: dict[str, RegistryLogin] = Field(default_factory=dict)
    """Logins, as tables `[docker.registries."ghcr.io"]` with username and password or password_file; the host must be the image's own, \
and with a path, as in "ghcr.io/team", the login is for images below it alone."""
    overhead: dict[int, float] = Field(default_factory=dict)
    """Memory beyond a server's limit in place of Wings' own rules, as in { 2048 = 1.2 }: up to that many MB, that many times its limit."""
    overhead_default: float = Field(default=1.05, ge=1)
    """The same for servers above every entry of such a table."""
    userns_mode: str = ""
    """Docker's user namespace mode for the containers; `host` leaves the namespace of an engine that remaps users."""


class BackupSection(Section):
    """Backups of servers' files on this node."""

    directory: Path | None = None
    """Folder of the backups; empty means `backups` in root_directory. Another disk than that of the servers' files is best."""
    at_once: int = Field(default=1, ge=1)
    """Backups and restores at the same time on this node; more wait their turn."""
    compression: Literal["gz", "zst"] = "gz"
    """`gz` as Wings has it, or `zst`: smaller and faster, for those who need no other tool to open them."""
    safety: bool = True
    """Keep a backup of what is there before a restore replaces it, so that the restore can be undone."""
    safety_days: int = Field(default=7, ge=1)
    """Days such a safety backup is kept."""
    prove_hours: float = Field(default=24.0, ge=0)
    """Every so many hours the backup that was not proven for longest is read whole and held against its list; 0 never does."""


class PullSection(Section):
    """Files that servers' people have fetched from the internet, and backups fetched for a restore."""

    enabled: bool = True
    """Whether people may have files fetched (Wings: `disable_remote_download`, the other way round)."""
    ports: list[int] = Field(default_factory=lambda: [80, 443])
    """Ports that may be asked."""
    allowed_networks: list[str] = Field(default_factory=list)
    """Addresses or networks that may be asked although they are not public, for instance a file server at home."""
    most_mib: int = Field(default=102_400, ge=1)
    """MiB that a fetched file may have; a server's own disk limit counts as well."""


class InstallSection(Section):
    """Eggs' install scripts, each run in a container of its own."""

    timeout: float = Field(default=3600.0, gt=0)
    """Seconds a script may take; then it is ended and the installation has failed."""
    memory: int = Field(default=1024, ge=0)
    """MB a script gets at least; a server's own limit counts when it is higher."""
    cpu: int = Field(default=100, ge=0)
    """Percent of one thread a script gets at least; 0 sets no limit, and a server without a limit has none here."""
    pids: int = Field(default=1024, ge=0)
    """Processes a script may have; 0 sets no limit."""
    heed_exit_code: bool = True
    """A script that ends with another code than 0 has failed; Wings calls that a success."""
    log_size: int = Field(default=5, ge=1)
    """MiB of output kept per installation; of more, the beginning and the last lines."""


class PowerSection(Section):
    """Limits of every wait, in seconds. When one passes, the state is read again from Docker and the reason is told."""

    start_timeout: float = Field(default=30.0, gt=0)
    """Creating, attaching and starting the container."""
    ready_timeout: float = Field(default=600.0, gt=0)
    """From started to a `done` line. When it passes, a server that still runs is shown as running, with a note."""
    stop_timeout: float = Field(default=600.0, gt=0)
    """From the stop command to the end of the process; then it is killed."""
    kill_timeout: float = Field(default=20.0, gt=0)
    """From SIGKILL to the container's end."""
    own_starts_at_once: int = Field(default=4, ge=1)
    """Servers started at a time of the node's own accord: after a reboot, a restart of Docker, crashes. A person's start never waits."""


class SftpSection(Section):
    """The agent's SFTP server, where people reach their servers' files."""

    enabled: bool = True
    """Whether there is one."""
    host: str = "0.0.0.0"
    """Address to listen on."""
    port: int = Field(default=2022, ge=0, le=65535)
    """Port to listen on; 0 takes a free one."""
    read_only: bool = False
    """Let nobody change files through it."""
    login_timeout: float = Field(default=30.0, gt=0)
    """Seconds from connecting to being signed in."""
    keepalive_interval: float = Field(default=60.0, ge=0)
    """Seconds between questions whether a silent client is still there; after three without answer it is gone. 0 never asks."""
    idle_timeout: float = Field(default=1800.0, ge=0)
    """Seconds after which a session that asks for nothing is ended; 0 never ends it."""
    connections: int = Field(default=400, ge=1)
    """Connections at once, at most."""
    household_connections: int = Field(default=32, ge=1)
    """Connections at once from one address (of IPv6: from one /64), at most."""


class ThrottleSection(Section):
    """Wings' console throttle: more than `lines` per `line_reset_interval` ms are counted, not sent."""

    enabled: bool = True
    """Whether a flood is throttled at all."""
    lines: int = Field(default=2000, ge=1)
    """Lines that pass per interval."""
    line_reset_interval: int = Field(default=100, ge=1)
    """Length of the interval in milliseconds."""


class HistorySection(Section):
    """What consoles said, kept on the node beyond their containers."""

    console_mb: int = Field(default=64, ge=0)
    """MB on disk per server, packed (ten times as much text or more); the oldest goes first. 0 keeps nothing."""
    days: int = Field(default=30, ge=1)
    """Days after which lines are thrown away."""


class CrashSection(Section):
    """What happens when a game ends by itself."""

    enabled: bool = True
    """Start a crashed server again."""
    detect_clean_exit_as_crash: bool = True
    """An end nobody asked for counts as a crash even with exit code 0."""
    timeout: float = Field(default=60.0, ge=0)
    """A second crash within this many seconds is not restarted."""
    most_restarts: int = Field(default=3, ge=0)
    """Restarts after crashes within `window`, at most."""
    window: float = Field(default=600.0, gt=0)
    """Seconds over which restarts are counted."""
    backoff: float = Field(default=10.0, ge=0)
    """Seconds before the second of these restarts; twice that before the third, and so on. The first one comes at once."""
