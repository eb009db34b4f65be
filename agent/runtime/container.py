"""A server's settings as the body of Docker's create call: a pure function. Options are Wings' (1.11), with its known defects mended.

Must never talk to Docker.
"""

import re
from pathlib import Path
from typing import Any

from agent.runtime import confinement
from agent.runtime.confinement import SHARED, Place
from core.config import AgentConfig
from core.protocol.settings import Build, ServerConfiguration, ServerSettings

Json = dict[str, Any]

HOME = "/home/container"
LABEL = "dev.aerie.server"

_NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")
_PORTS = range(1, 65536)


def image_of(settings: ServerSettings) -> str:
    """The image's reference; a leading `~` only says that it is local."""
    return settings.container.image.removeprefix("~")


def is_local(settings: ServerSettings) -> bool:
    return settings.container.image.startswith("~")


def body(configuration: ServerConfiguration, config: AgentConfig, folder: Path, interface: str = "", place: Place = SHARED) -> Json:
    """Docker's create body. `folder` is the server's data on the host, `interface` the bridge's own address, `place` what is its own."""
    settings = configuration.settings
    docker = config.docker
    exposed, bindings = ports(settings, interface)
    return {
        "Hostname": settings.uuid,
        "Domainname": docker.domainname,
        "Image": image_of(settings),
        "User": place.user or f"{config.system.uid}:{config.system.gid}",
        "Tty": True,
        "OpenStdin": True,
        "AttachStdin": True,
        "AttachStdout": True,
        "AttachStderr": True,
        "Env": with_home(environment(settings, config.system.timezone, interface)),
        "Labels": confinement.labels(
            settings.labels, docker, {"Service": "Pterodactyl", "ContainerType": "server_process", LABEL: settings.uuid}
        ),
        "ExposedPorts": exposed,
        "HostConfig": {
            **confinement.host_config(docker, confinement.capabilities(settings.labels, docker)),
            "Binds": [f"{folder}:{HOME}:rw", *place.binds],
            "PortBindings": bindings,
            "ReadonlyRootfs": True,
            "NetworkMode": place.network or docker.network,
            "Dns": list(docker.dns),
            "LogConfig": log_config(config),
            **limits(settings.build, docker.container_pid_limit),
        },
    }


def log_config(config: AgentConfig) -> Json:
    """Docker's own log, rotated; `non-blocking`, so that a full log never stops a game."""
    docker = config.docker
    options = {"max-size": docker.log_max_size, "max-file": str(docker.log_max_file), "mode": "non-blocking"}
    if docker.log_driver == "local":
        options["compress"] = "false"
    return {"Type": docker.log_driver, "Config": options}


def limits(build: Build, pids: int) -> Json:
    """Memory with Wings' overhead, swap, cpu, pids. Swap without memory is left out, since Docker refuses it."""
    made: Json = {"PidsLimit": pids}
    if build.memory_limit > 0:
        hard = round(build.memory_limit * overhead(build.memory_limit) * 1_000_000)
        made |= {
            "Memory": hard,
            "MemoryReservation": build.memory_limit * 1_000_000,
            "MemorySwap": -1 if build.swap < 0 else build.swap * 1_000_000 + hard,
            "OomKillDisable": build.oom_disabled,
        }
    if build.cpu_limit > 0:
        made |= {"CpuQuota": build.cpu_limit * 1000, "CpuPeriod": 100_000, "CpuShares": 1024}
    if build.threads:
        made["CpusetCpus"] = build.threads
    return made


def overhead(memory_limit: int) -> float:
    """How much more than its limit a container gets, so that a JVM's own needs do not kill it."""
    if memory_limit <= 2048:
        return 1.15
    return 1.10 if memory_limit <= 4096 else 1.05


def environment(settings: ServerSettings, timezone: str, interface: str = "") -> list[str]:
    """`NAME=value`, Wings' fixed ones first and unbeatable. Names that no shell takes and values with NUL are left out."""
    default = settings.allocations.default
    fixed = {
        "TZ": timezone,
        "STARTUP": settings.invocation,
        "SERVER_MEMORY": str(settings.build.memory_limit),
        "SERVER_IP": interface if default.ip == "127.0.0.1" and interface else default.ip,
        "SERVER_PORT": str(default.port),
    }
    given = {name.upper(): value for name, value in sorted(settings.environment.items())}
    rest = {name: value for name, value in given.items() if name not in fixed and _NAME.match(name) and "\0" not in value}
    return [f"{name}={value}" for name, value in {**fixed, **rest}.items()]


def with_home(variables: list[str]) -> list[str]:
    """A user that the image does not know would get `/` for its home, where it cannot write."""
    return variables if any(one.startswith("HOME=") for one in variables) else [*variables, f"HOME={HOME}"]


def ports(settings: ServerSettings, interface: str = "") -> tuple[Json, Json]:
    """Exposed ports and bindings: each port on TCP and UDP."""
    exposed: Json = {}
    bindings: dict[str, list[Json]] = {}
    for ip, numbers in settings.allocations.mappings.items():
        for number in numbers:
            if number not in _PORTS:
                continue
            for protocol in ("tcp", "udp"):
                key = f"{number}/{protocol}"
                exposed[key] = {}
                bindings.setdefault(key, []).append(
                    {"HostIp": interface if ip == "127.0.0.1" and interface else ip, "HostPort": str(number)}
                )
    return exposed, bindings
