"""The node's own firewall rules for servers' networks: what a server may reach of this machine, and where it may not go at all.

Two chains of ours (`AERIE-IN-…`, `AERIE-FW-…`), each replaced as a whole, and one jump to each, from INPUT and from DOCKER-USER (FORWARD
where Docker has none), for packets from our bridges alone. Must never touch a rule that is not ours. Where it cannot be done (not root, no
iptables, an engine elsewhere) `obstacle` says so, and nothing is pretended. Everything here blocks: run it in a thread.
"""

import logging
import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from ipaddress import ip_address, ip_network
from pathlib import Path

from agent.runtime.neighbours import EVERYWHERE, Tenant
from core.agent_settings import DockerSection

log = logging.getLogger(__name__)

FAMILIES = {4: "iptables", 6: "ip6tables"}
_SECONDS = 20.0
_INTERFACES = Path("/sys/class/net")
_PATHS = os.pathsep.join([os.defpath, "/usr/sbin", "/sbin", "/usr/local/sbin"])


class Firewall:
    """Rules for the bridges whose names begin with `prefix`. `obstacle`, for people: why there are none; empty when they stand."""

    def __init__(self, mark: str, prefix: str, obstacle: str = "") -> None:
        self._mark = mark
        self._prefix = prefix
        self.obstacle = obstacle
        self._standing: dict[int, str] = {}

    def stand(self, tenants: Iterable[Tenant], docker: DockerSection, gateway: str, api_port: int, *, look: bool = False) -> None:
        """Make the rules what they must be for these servers; with none at all they are taken away. Raises nothing: see `obstacle`.

        With `look` it is seen to that nobody took them away; otherwise the same rules as before cost nothing.
        """
        if self.obstacle:
            return
        tenants = sorted(set(tenants), key=lambda one: (one.bridge, one.public, one.private))
        for family, program in FAMILIES.items():
            if shutil.which(program, path=_PATHS) is None:
                continue  # obstacle_here() said so for IPv4; without ip6tables there is no IPv6 to forward
            try:
                if tenants:
                    self._stand(family, text(self._mark, tenants, docker, gateway, api_port, family), look=look)
                else:
                    self._remove(family)
            except (OSError, subprocess.SubprocessError) as error:
                if family == 6:
                    log.debug("no rules for IPv6: %s", _said(error))
                    continue
                self.obstacle = f"iptables refuses ({_said(error)})"
                log.warning("Servers can reach this machine's own services: %s.", self.obstacle)

    def _stand(self, family: int, rules: str, *, look: bool) -> None:
        if self._standing.get(family) != rules or (look and not self._hooked(family)):
            _run([f"{FAMILIES[family]}-restore", "--noflush", "-w", "5"], rules)
            for hook in self._hooks(family):
                if not self._has(family, hook):
                    _run([FAMILIES[family], "-w", "5", "-I", hook[0], "1", *hook[1:]])
            self._standing[family] = rules

    def _remove(self, family: int) -> None:
        self._standing.pop(family, None)
        if not self._has_chain(family, f"AERIE-IN-{self._mark}"):
            return
        for hook in self._hooks(family):
            while self._has(family, hook):
                _run([FAMILIES[family], "-w", "5", "-D", *hook])
        for chain in ("IN", "FW"):
            for verb in ("-F", "-X"):
                _run([FAMILIES[family], "-w", "5", verb, f"AERIE-{chain}-{self._mark}"])

    def clear_dead(self) -> None:
        """Rules that agents of other folders left here, none of whose bridges is there any more."""
        if self.obstacle:
            return
        for family in FAMILIES:
            with suppress(OSError, subprocess.SubprocessError):
                marks = set(re.findall(r"^-N AERIE-IN-([0-9a-f]{4})$", _run([FAMILIES[family], "-w", "5", "-S"]), re.MULTILINE))
                for mark in marks - {self._mark}:
                    if not any(_INTERFACES.glob(f"{prefix_of(mark)}*")):
                        Firewall(mark, prefix_of(mark))._remove(family)

    def _hooks(self, family: int) -> list[list[str]]:
        forward = "DOCKER-USER" if self._has_chain(family, "DOCKER-USER") else "FORWARD"
        return [
            ["INPUT", "-i", f"{self._prefix}+", "-j", f"AERIE-IN-{self._mark}"],
            [forward, "-i", f"{self._prefix}+", "-j", f"AERIE-FW-{self._mark}"],
        ]

    def _hooked(self, family: int) -> bool:
        """Whether both jumps are there, and what ends our chains: somebody who flushes one takes all of it."""
        ends = [[f"AERIE-IN-{self._mark}", "-j", "REJECT"], [f"AERIE-FW-{self._mark}", "-j", "RETURN"]]
        return all(self._has(family, rule) for rule in (*self._hooks(family), *ends))

    @staticmethod
    def _has(family: int, hook: list[str]) -> bool:
        return _ask([FAMILIES[family], "-w", "5", "-C", *hook])

    @staticmethod
    def _has_chain(family: int, chain: str) -> bool:
        return _ask([FAMILIES[family], "-w", "5", "-n", "-L", chain])


def text(mark: str, tenants: Iterable[Tenant], docker: DockerSection, gateway: str, api_port: int, family: int) -> str:
    """Both chains as iptables-restore reads them, for IPv4 (4) or IPv6 (6)."""
    tenants = list(tenants)
    into, forward = f"AERIE-IN-{mark}", f"AERIE-FW-{mark}"
    lines = ["*filter", f":{into} - [0:0]", f":{forward} - [0:0]"]
    lines.append(f"-A {into} -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN")
    if family == 6:
        lines.append(f"-A {into} -p ipv6-icmp -j RETURN")
    opened = [("", f"-d {ip} " if ip not in EVERYWHERE else "", port) for one in tenants for ip, port in one.public if _is(ip, family)]
    if family == 4:
        opened += [(f"-i {one.bridge} ", f"-d {gateway} ", port) for one in tenants for port in one.private if gateway]
    opened += [("", "", port) for port in docker.host_ports]
    for where, to, port in dict.fromkeys(opened):
        if port != api_port:
            lines += [f"-A {into} {where}{to}-p {protocol} -m {protocol} --dport {port} -j RETURN" for protocol in ("tcp", "udp")]
    lines += [f"-A {into} -p tcp -j REJECT --reject-with tcp-reset", f"-A {into} -j REJECT"]
    lines.append(f"-A {forward} -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN")
    lines += [f"-A {forward} -d {network} -j REJECT" for network in denied(docker, family)]
    lines += [f"-A {forward} -i {one} -o {one} -j RETURN" for one in sorted({tenant.bridge for tenant in tenants if tenant.shared})]
    prefix = prefix_of(mark)
    lines += [f"-A {forward} -o {prefix}+ -j REJECT", f"-A {forward} -j RETURN", "COMMIT", ""]
    return "\n".join(lines)


def denied(docker: DockerSection, family: int) -> list[str]:
    """The settings' networks of one family; what is no network is named in the log and left out."""
    found = []
    for entry in docker.denied_networks:
        try:
            network = ip_network(entry, strict=False)
        except ValueError:
            log.error("[docker] denied_networks: %r is no network.", entry)
            continue
        if network.version == family:
            found.append(str(network))
    return found


def prefix_of(mark: str) -> str:
    """How the bridges of one agent's networks begin."""
    return f"ae{mark}"


def obstacle_here(host: str) -> str:
    """Why rules cannot be set from here for the engine at `host`, for people; empty when they can."""
    if not host.startswith("unix://"):
        return "the engine is on another machine"
    if os.geteuid() != 0:
        return "the agent is not root"
    if shutil.which("iptables", path=_PATHS) is None:
        return "there is no iptables"
    if not _ask(["iptables", "-w", "5", "-n", "-L", "INPUT"]):
        return "iptables may not be used here"
    return ""


def bridge_is_here(bridge: str) -> bool:
    """Whether a network's bridge is among this process's own interfaces; otherwise the engine has another machine's, or container's."""
    return (_INTERFACES / bridge).exists()


def _is(ip: str, family: int) -> bool:
    return ip_address(ip).version == family


def _run(command: list[str], fed: str = "") -> str:
    program = shutil.which(command[0], path=_PATHS) or command[0]
    done = subprocess.run([program, *command[1:]], input=fed, text=True, capture_output=True, check=True, timeout=_SECONDS)  # noqa: S603
    return done.stdout


def _ask(command: list[str]) -> bool:
    try:
        _run(command)
    except (OSError, subprocess.SubprocessError):
        return False
    return True


def _said(error: BaseException) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        return (str(error.stderr).strip().splitlines() or ["it says nothing"])[0][:200]
    return str(error)[:200]
