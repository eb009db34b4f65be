"""What monitoring systems send to `POST /webhooks/{token}`: Alertmanager, Grafana, Uptime Kuma and our own plain form, as one typed list.

Who sent a body is told by its shape. Facts: Prometheus' webhook_config (version 4), Grafana's unified alerting (contact point "webhook"),
Uptime Kuma 1.23 and 2 (notification "Webhook", JSON). docs/alerts.md describes the plain form.
Every text leaves here clipped and free of control characters. Must never trust a length, a depth, a link or an instant of a sender.
"""

import hashlib
import math
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import orjson

from core.errors import BadRequest, Invalid, TooLarge
from core.vocabulary import AlertSender, AlertSeverity, AlertStatus

MOST_BYTES = 256 * 1024
"""Of one body."""
MOST_ALERTS = 500
"""Of one body; the rest is counted and told to the sender."""
MOST_DEPTH = 16
TITLE, TEXT, VALUE, URL = 200, 1500, 120, 512
MOST_LABELS, LABEL_NAME, LABEL_VALUE = 20, 60, 120

_SEVERITIES = {
    AlertSeverity.CRITICAL: ("critical", "crit", "fatal", "emergency", "emerg", "disaster", "page", "high", "error", "err", "p1", "sev1"),
    AlertSeverity.WARNING: ("warning", "warn", "medium", "major", "average", "p2", "sev2"),
    AlertSeverity.INFO: ("info", "informational", "information", "notice", "low", "minor", "none", "debug", "ok", "p3", "p4", "sev3"),
}
_SEVERITY_OF = {word: severity for severity, words in _SEVERITIES.items() for word in words}


@dataclass(frozen=True, slots=True)
class AlertItem:
    """One alert as it stands. `fingerprint` (32 hex digits) is the same for every report of the same trouble from one source."""

    fingerprint: str
    title: str
    status: AlertStatus = AlertStatus.FIRING
    severity: AlertSeverity = AlertSeverity.WARNING
    text: str = ""
    value: str = ""
    url: str = ""
    """http(s), or empty."""
    labels: dict[str, str] = field(default_factory=dict)
    starts_at: datetime | None = None
    occurrence: str = ""
    """Names one happening of Aerie's own alerts, so that two processes do not count it twice; empty for those of senders."""


@dataclass(frozen=True, slots=True)
class AlertBatch:
    """One body, read."""

    sender: AlertSender
    alerts: tuple[AlertItem, ...]
    left_out: int = 0
    """Alerts beyond MOST_ALERTS."""


def parse(body: bytes) -> AlertBatch:
    """Read a body. Raises TooLarge, BadRequest (no JSON) or Invalid, whose message begins with the field that does not fit."""
    if len(body) > MOST_BYTES:
        raise TooLarge(f"The body has {len(body)} bytes; at most {MOST_BYTES} are taken.", hint="Send fewer alerts at once.")
    try:
        raw = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise BadRequest("The body is not JSON.", hint="Send it as application/json; docs/alerts.md shows each sender's set-up.") from None
    _check_depth(raw)
    if not isinstance(raw, dict):
        raise _wrong("body", "must be a JSON object")
    if "alerts" in raw:
        return _grafana(raw) if _is_grafana(raw) else _alertmanager(raw)
    if "heartbeat" in raw or "monitor" in raw:
        return _uptime_kuma(raw)
    if "title" in raw or "status" in raw:
        return AlertBatch(AlertSender.GENERIC, (_generic(raw),))
    raise _wrong("title", "is missing, and the body is none of Alertmanager, Grafana or Uptime Kuma")


def fingerprint(*parts: str) -> str:
    """32 hex digits that stand for these words."""
    return hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()[:32]


def severity_of(word: str) -> AlertSeverity:
    """The severity a sender's word means; what nobody knows is a warning."""
    return _SEVERITY_OF.get(word.strip().lower(), AlertSeverity.WARNING)


def clean(text: str, limit: int, *, lines: bool = False) -> str:
    """At most `limit` code points without control, invisible or half characters; with `lines`, line ends stay."""
    kept = "".join(_sign(sign, lines) for sign in text[: limit * 4])
    if lines:
        kept = "\n".join(" ".join(line.split()) for line in kept.split("\n")).strip("\n")
    else:
        kept = " ".join(kept.split())
    return kept if len(kept) <= limit else kept[: limit - 1].rstrip() + "…"


def _sign(sign: str, lines: bool) -> str:
    if sign == "\n" and lines:
        return sign
    if sign == "\u200d" or unicodedata.category(sign)[0] != "C":  # the joiner holds emoji together
        return sign
    return " " if sign.isspace() or sign in "\t\r\0" else ""


def _wrong(where: str, what: str) -> Invalid:
    return Invalid(f"{where}: {what}.", hint="docs/alerts.md shows what is understood.")


def _check_depth(raw: Any) -> None:
    level, depth = [raw], 0
    while level:
        depth += 1
        if depth > MOST_DEPTH:
            raise _wrong("body", f"is nested deeper than {MOST_DEPTH} levels")
        level = [
            inner for value in level if isinstance(value, (dict, list)) for inner in (value.values() if isinstance(value, dict) else value)
        ]


# Alertmanager and Grafana: the same skeleton


def _is_grafana(raw: Mapping[str, Any]) -> bool:
    return "orgId" in raw or ("state" in raw and "message" in raw)


def _alertmanager(raw: Mapping[str, Any]) -> AlertBatch:
    if str(raw.get("version", "")) != "4":
        raise _wrong("version", 'must be "4", as Alertmanager\'s webhook sends it')
    return _many(AlertSender.ALERTMANAGER, raw, lambda alert: _word(alert, "generatorURL"), lambda _: "")


def _grafana(raw: Mapping[str, Any]) -> AlertBatch:
    return _many(
        AlertSender.GRAFANA,
        raw,
        lambda alert: _first(alert, "panelURL", "dashboardURL", "generatorURL"),
        lambda alert: _grafana_value(alert),
    )


def _many(
    sender: AlertSender, raw: Mapping[str, Any], link: Callable[[Mapping[str, Any]], str], value: Callable[[Mapping[str, Any]], str]
) -> AlertBatch:
    entries = raw["alerts"]
    if not isinstance(entries, list):
        raise _wrong("alerts", "must be a list")
    taken = entries[:MOST_ALERTS]
    alerts = tuple(_one_of_many(sender, entry, f"alerts.{number}", link, value) for number, entry in enumerate(taken))
    return AlertBatch(sender, alerts, len(entries) - len(taken) + _truncated(raw))


def _truncated(raw: Mapping[str, Any]) -> int:
    """What Alertmanager itself left out (`max_alerts`)."""
    count = raw.get("truncatedAlerts", 0)
    return count if isinstance(count, int) and not isinstance(count, bool) and 0 <= count <= 1_000_000 else 0


def _one_of_many(
    sender: AlertSender,
    entry: Any,
    where: str,
    link: Callable[[Mapping[str, Any]], str],
    value: Callable[[Mapping[str, Any]], str],
) -> AlertItem:
    if not isinstance(entry, dict):
        raise _wrong(where, "must be an object")
    labels, notes = _map(entry, "labels", where), _map(entry, "annotations", where)
    name = clean(labels.get("alertname", ""), TITLE)
    title = clean(_first(notes, "summary", "title"), TITLE) or name or clean(", ".join(f"{k}={v}" for k, v in labels.items()), TITLE)
    if not title:
        raise _wrong(f"{where}.labels", "must hold at least `alertname`")
    known = _text(entry, "fingerprint", where)
    return AlertItem(
        fingerprint=fingerprint(sender, known) if known else fingerprint(sender, *_pairs(labels)),
        title=title,
        status=_status(entry, where),
        severity=severity_of(_first(labels, "severity", "priority", "level")),
        text=clean(_first(notes, "description", "message"), TEXT, lines=True),
        value=clean(value(entry) or notes.get("value", ""), VALUE),
        url=_link(link(entry)),
        labels=_labels(labels),
        starts_at=_instant(entry, "startsAt", where),
    )


def _grafana_value(alert: Mapping[str, Any]) -> str:
    values = alert.get("values")
    if isinstance(values, dict):
        return ", ".join(f"{name}={_number(number)}" for name, number in list(values.items())[:5])
    return ", ".join(re.findall(r"value=([^\s\]]{1,40})", _word(alert, "valueString")[:2000])[:5])


# Uptime Kuma


def _uptime_kuma(raw: Mapping[str, Any]) -> AlertBatch:
    beat, monitor, words = raw.get("heartbeat"), raw.get("monitor"), _word(raw, "msg")
    if beat is None and monitor is None:  # its test button, and its notes on certificates that end
        if not words:
            raise _wrong("msg", "is missing")
        title = clean(words, TITLE)
        return AlertBatch(AlertSender.UPTIME_KUMA, (AlertItem(fingerprint("kuma", "note", title), title, severity=AlertSeverity.INFO),))
    for name, part in (("heartbeat", beat), ("monitor", monitor)):
        if not isinstance(part, dict):
            raise _wrong(name, "must be an object")
    assert isinstance(beat, dict) and isinstance(monitor, dict)
    status = beat.get("status")
    if isinstance(status, bool) or not isinstance(status, int) or status not in (0, 1, 2, 3):
        raise _wrong("heartbeat.status", "must be 0 (down), 1 (up), 2 (pending) or 3 (maintenance)")
    name = clean(_word(monitor, "name"), TITLE - 20)
    if not name:
        raise _wrong("monitor.name", "is missing")
    if status in (2, 3):
        return AlertBatch(AlertSender.UPTIME_KUMA, ())
    number = monitor.get("id", beat.get("monitorID"))
    facts = {"monitor": name, "type": _word(monitor, "type"), "host": _word(monitor, "hostname")}
    item = AlertItem(
        fingerprint=fingerprint("kuma", str(number)[:40] if isinstance(number, (int, str)) else name),
        title=f"{name} is down" if status == 0 else f"{name} is up again",
        status=AlertStatus.FIRING if status == 0 else AlertStatus.RESOLVED,
        severity=AlertSeverity.CRITICAL,
        text=clean(_word(beat, "msg") or words, TEXT, lines=True),
        url=_link(_word(monitor, "url")),
        labels=_labels({key: value for key, value in facts.items() if value}),
        starts_at=_instant(beat, "time", "heartbeat"),
    )
    return AlertBatch(AlertSender.UPTIME_KUMA, (item,))


# The plain form


def _generic(raw: Mapping[str, Any]) -> AlertItem:
    title = clean(_text(raw, "title"), TITLE)
    if not title:
        raise _wrong("title", "is missing")
    word = _text(raw, "severity")
    if word and word.strip().lower() not in _SEVERITY_OF:
        raise _wrong("severity", "must be critical, warning or info")
    value = raw.get("value")
    if value is not None and (isinstance(value, bool) or not isinstance(value, (str, int, float))):
        raise _wrong("value", "must be a number or text")
    url = _text(raw, "url")
    if url and not _link(url):
        raise _wrong("url", f"must be an http or https address of at most {URL} characters")
    key = _text(raw, "key")
    return AlertItem(
        fingerprint=fingerprint("generic", key or title),
        title=title,
        status=_status(raw, ""),
        severity=severity_of(word),
        text=clean(_text(raw, "text"), TEXT, lines=True),
        value=clean(_number(value), VALUE) if value is not None else "",
        url=_link(url),
        labels=_labels(_map(raw, "labels", "")),
        starts_at=_instant(raw, "starts_at", ""),
    )


# Fields


def _at(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def _word(raw: Mapping[str, Any], name: str) -> str:
    """A text, or nothing when it is anything else."""
    value = raw.get(name)
    return value if isinstance(value, str) else ""


def _text(raw: Mapping[str, Any], name: str, where: str = "") -> str:
    """A text; missing or null is empty. Raises Invalid for anything else."""
    value = raw.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _wrong(_at(where, name), "must be text")
    return value


def _first(raw: Mapping[str, Any], *names: str) -> str:
    return next((text for name in names if (text := _word(raw, name).strip())), "")


def _status(raw: Mapping[str, Any], where: str) -> AlertStatus:
    word = raw.get("status")
    if word not in ("firing", "resolved"):
        raise _wrong(_at(where, "status"), "must be firing or resolved")
    return AlertStatus(word)


def _map(raw: Mapping[str, Any], name: str, where: str) -> dict[str, str]:
    """An object of texts; numbers and truth values are written out."""
    value = raw.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _wrong(_at(where, name), "must be an object")
    read = {}
    for key, inner in value.items():
        if isinstance(inner, (dict, list)):
            raise _wrong(_at(where, f"{name}.{clean(key, LABEL_NAME)}"), "must be text")
        if inner is not None:
            read[key] = inner if isinstance(inner, str) else _number(inner)
    return read


def _number(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.6g}" if math.isfinite(value) else "not a number"
    return str(value) if isinstance(value, (str, int)) else ""


def _pairs(labels: Mapping[str, str]) -> Iterable[str]:
    return (f"{key}={labels[key]}" for key in sorted(labels))


def _labels(labels: Mapping[str, str]) -> dict[str, str]:
    named = ((clean(key, LABEL_NAME), clean(value, LABEL_VALUE)) for key, value in list(labels.items())[:MOST_LABELS])
    return {key: value for key, value in named if key and value}


def _link(text: str) -> str:
    """An address that a button may carry; anything else is dropped."""
    text = text.strip()
    if len(text) > URL or not text.isascii() or not text.isprintable() or " " in text:
        return ""
    try:
        parts = urlsplit(text)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.username and not parts.password
        _ = parts.port
    except ValueError:
        return ""
    return text if good else ""


def _instant(raw: Mapping[str, Any], name: str, where: str) -> datetime | None:
    """An RFC 3339 instant; without a zone it is UTC. One that means "never" (year 1, as Go writes it) is none."""
    text = _text(raw, name, where).strip()
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text[:40])
    except ValueError:
        raise _wrong(_at(where, name), "must be an instant such as 2026-01-31T12:00:00Z") from None
    if not 1990 <= moment.year <= 2200:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
