"""What the control plane counts and measures, declared once; docs/metrics.md explains the same names to people.

A label never holds a name that people or programs choose freely, so that no series grows without bound.
"""

from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics import MetricWrapperBase

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_LATENCIES = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """One process's metrics, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        own = self.registry
        self.requests = Histogram(
            "aerie_http_request_seconds",
            "Time the endpoint took to answer, by API, method and status.",
            ["api", "method", "status"],
            buckets=_LATENCIES,
            registry=own,
        )
        self.commands = Counter("aerie_commands", "Slash commands, by name and what came of them.", ["command", "outcome"], registry=own)
        self.discord = Gauge("aerie_discord_connected", "1 while the gateway connection stands.", registry=own)
        self.nodes = Gauge("aerie_nodes", "Nodes, by whether they are up or lost.", ["state"], registry=own)
        self.servers = Gauge("aerie_servers", "Servers, by the state of their process.", ["state"], registry=own)
        self.statuses = Gauge("aerie_servers_status", "Servers, by their standing: ready, installing, suspended…", ["status"], registry=own)
        self.players = Gauge("aerie_players", "Players on all servers, where the console tells of them.", registry=own)
        self.memory = Gauge("aerie_servers_memory_bytes", "Memory that all servers use together.", registry=own)
        self.workers = Gauge("aerie_workers", "Workers of the bot, by whether they run.", ["state"], registry=own)
        self.failures = Gauge("aerie_worker_failures", "How often workers failed and were started again since the start.", registry=own)
        self.alerts = Gauge("aerie_alerts_firing", "Alerts that are firing, by severity.", ["severity"], registry=own)
        self.queues = Gauge("aerie_queue_size", "What waits in a queue of the bot.", ["queue"], registry=own)

    def all(self) -> Iterable[MetricWrapperBase]:
        """Every metric declared here."""
        return [value for value in vars(self).values() if isinstance(value, MetricWrapperBase)]

    def set_all(self, gauge: Gauge, values: Mapping[str, float]) -> None:
        """Set a gauge of one label; label values that are not among `values` go."""
        gauge.clear()
        for label, value in values.items():
            gauge.labels(label).set(value)

    def text(self) -> bytes:
        """Everything in Prometheus' text format."""
        return generate_latest(self.registry)
