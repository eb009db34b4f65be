"""Bodies of four senders become alerts; what does not fit is refused with the field's name; nothing a sender writes acts or overflows."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import AerieError, BadRequest, Invalid, TooLarge
from core.protocol.alerts import LABEL_VALUE, MOST_ALERTS, MOST_BYTES, MOST_LABELS, TEXT, TITLE, URL, AlertBatch, clean, parse
from core.vocabulary import AlertSender, AlertSeverity, AlertStatus

ENTRY: dict[str, Any] = {
    "status": "firing",
    "labels": {"alertname": "HighLoad", "instance": "a:9100", "severity": "critical"},
    "annotations": {"summary": "Load is high on a", "description": "for 5 minutes"},
    "startsAt": "2026-08-03T09:52:26.739266876+02:00",
    "endsAt": "0001-01-01T00:00:00Z",
    "generatorURL": "http://prometheus.example:9090/graph?g0.expr=load",
    "fingerprint": "1a30ba71cca2921f",
}
ALERTMANAGER: dict[str, Any] = {
    "version": "4",
    "groupKey": '{}:{alertname="HighLoad"}',
    "truncatedAlerts": 0,
    "receiver": "aerie",
    "status": "firing",
    "groupLabels": {"alertname": "HighLoad"},
    "commonLabels": {},
    "commonAnnotations": {},
    "externalURL": "http://alertmanager.example:9093",
    "alerts": [ENTRY],
}
GRAFANA: dict[str, Any] = {
    "receiver": "aerie",
    "status": "firing",
    "orgId": 1,
    "alerts": [{**ENTRY, "values": {"B": 44.239437, "C": 1}, "dashboardURL": "", "panelURL": "https://grafana.example/d/x?viewPanel=1"}],
    "version": "1",
    "title": "[FIRING:1] HighLoad",
    "state": "alerting",
    "message": "**Firing**",
}
KUMA: dict[str, Any] = {
    "heartbeat": {
        "monitorID": 29,
        "status": 0,
        "time": "2026-09-24 23:51:35.527",
        "msg": "getaddrinfo ENOTFOUND play.example",
        "important": True,
    },
    "monitor": {"id": 29, "name": "Lobby", "url": "https://play.example", "hostname": None, "type": "http"},
    "msg": "[Lobby] [🔴 Down] getaddrinfo ENOTFOUND play.example",
}
GENERIC: dict[str, Any] = {
    "title": "Backup failed",
    "text": "exit code 3\nsee the log",
    "severity": "critical",
    "status": "firing",
    "key": "backup-1",
    "url": "https://ci.example/7",
    "labels": {"host": "a", "try": 3},
    "value": 3.5,
}


def read(body: Any) -> AlertBatch:
    return parse(json.dumps(body).encode())


def test_an_alertmanager_group_is_one_alert_each() -> None:
    batch = read({**ALERTMANAGER, "alerts": [ENTRY, {**ENTRY, "fingerprint": "2", "status": "resolved"}], "truncatedAlerts": 3})
    one, other = batch.alerts
    assert (batch.sender, batch.left_out) == (AlertSender.ALERTMANAGER, 3)
    assert (one.title, one.text, one.severity, one.status) == (
        "Load is high on a",
        "for 5 minutes",
        AlertSeverity.CRITICAL,
        AlertStatus.FIRING,
    )
    assert one.starts_at == datetime(2026, 8, 3, 7, 52, 26, 739266, tzinfo=UTC)
    assert one.url == ENTRY["generatorURL"] and one.labels["instance"] == "a:9100"
    assert other.status is AlertStatus.RESOLVED and other.fingerprint != one.fingerprint


def test_without_a_fingerprint_the_labels_name_the_alert_in_any_order() -> None:
    entry = {key: value for key, value in ENTRY.items() if key != "fingerprint"}
    turned = {**entry, "labels": dict(reversed(list(ENTRY["labels"].items())))}
    assert (
        read({**ALERTMANAGER, "alerts": [entry]}).alerts[0].fingerprint == read({**ALERTMANAGER, "alerts": [turned]}).alerts[0].fingerprint
    )


def test_grafana_is_known_by_its_shape() -> None:
    batch = read(GRAFANA)
    assert batch.sender is AlertSender.GRAFANA
    assert batch.alerts[0].value == "B=44.2394, C=1"
    assert batch.alerts[0].url == "https://grafana.example/d/x?viewPanel=1"
    older = {**GRAFANA, "alerts": [{**ENTRY, "valueString": "[ var='B' labels={} value=14151.33 ]"}]}
    assert read(older).alerts[0].value == "14151.33"


def test_uptime_kuma_goes_down_and_up_as_one_alert() -> None:
    down = read(KUMA).alerts[0]
    up = read({**KUMA, "heartbeat": {**KUMA["heartbeat"], "status": 1, "msg": "200 - OK"}}).alerts[0]
    assert (down.title, down.status, down.severity) == ("Lobby is down", AlertStatus.FIRING, AlertSeverity.CRITICAL)
    assert (up.status, up.fingerprint) == (AlertStatus.RESOLVED, down.fingerprint)
    assert down.starts_at == datetime(2026, 9, 24, 23, 51, 35, 527000, tzinfo=UTC)
    assert read({**KUMA, "heartbeat": {**KUMA["heartbeat"], "status": 3}}).alerts == ()
    note = read({"heartbeat": None, "monitor": None, "msg": "My Webhook Testing"}).alerts[0]
    assert (note.title, note.severity) == ("My Webhook Testing", AlertSeverity.INFO)


def test_the_plain_form_needs_a_title_and_a_status_alone() -> None:
    full, least = read(GENERIC).alerts[0], read({"title": "x", "status": "firing"}).alerts[0]
    assert (full.value, full.labels, full.text) == ("3.5", {"host": "a", "try": "3"}, "exit code 3\nsee the log")
    assert read({**GENERIC, "title": "other", "status": "resolved"}).alerts[0].fingerprint == full.fingerprint
    assert (least.severity, least.url) == (AlertSeverity.WARNING, "")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ([], "body"),
        (None, "body"),
        ({}, "title"),
        ({"title": "x"}, "status"),
        ({"status": "firing"}, "title"),
        ({**GENERIC, "title": 7}, "title"),
        ({**GENERIC, "title": "\x00\x07"}, "title"),
        ({**GENERIC, "status": ["firing"]}, "status"),
        ({**GENERIC, "severity": "purple"}, "severity"),
        ({**GENERIC, "url": "javascript:alert(1)"}, "url"),
        ({**GENERIC, "url": "https://user:pass@x.example"}, "url"),
        ({**GENERIC, "labels": []}, "labels"),
        ({**GENERIC, "labels": {"a": {}}}, "labels.a"),
        ({**GENERIC, "value": {}}, "value"),
        ({**GENERIC, "starts_at": "yesterday"}, "starts_at"),
        ({**GENERIC, "text": "x", "labels": json.loads("[" * 40 + "]" * 40)}, "body"),
        ({**ALERTMANAGER, "version": "3"}, "version"),
        ({**ALERTMANAGER, "alerts": {}}, "alerts"),
        ({**ALERTMANAGER, "alerts": [ENTRY, 5]}, "alerts.1"),
        ({**ALERTMANAGER, "alerts": [{**ENTRY, "status": "pending"}]}, "alerts.0.status"),
        ({**ALERTMANAGER, "alerts": [{**ENTRY, "labels": {}, "annotations": {}}]}, "alerts.0.labels"),
        ({**ALERTMANAGER, "alerts": [{**ENTRY, "startsAt": 5}]}, "alerts.0.startsAt"),
        ({**KUMA, "heartbeat": 5}, "heartbeat"),
        ({**KUMA, "heartbeat": {"status": True}}, "heartbeat.status"),
        ({**KUMA, "monitor": {"id": 1}}, "monitor.name"),
        ({"heartbeat": None, "monitor": None}, "msg"),
    ],
)
def test_what_does_not_fit_is_refused_by_its_fields_name(body: Any, field: str) -> None:
    with pytest.raises(Invalid) as caught:
        read(body)
    assert caught.value.status == 422
    assert caught.value.message.startswith(f"{field}: ")


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"title=x", b'{"title": "\\ud800"}', b"[" * 5000])
def test_what_is_no_json_is_told_so(body: bytes) -> None:
    with pytest.raises(BadRequest):
        parse(body)


def test_sizes_have_an_end() -> None:
    with pytest.raises(TooLarge) as caught:
        parse(b" " * (MOST_BYTES + 1))
    assert caught.value.status == 413
    small = {"status": "firing", "labels": {"alertname": "a"}}
    batch = read({**ALERTMANAGER, "alerts": [small] * (MOST_ALERTS + 7)})
    assert (len(batch.alerts), batch.left_out) == (MOST_ALERTS, 7)
    long = read({**GENERIC, "title": "x" * 9000, "text": "y" * 9000, "labels": {str(n): "z" * 500 for n in range(90)}}).alerts[0]
    assert (len(long.title), len(long.text), len(long.labels)) == (TITLE, TEXT, MOST_LABELS)
    assert max(map(len, long.labels.values())) == LABEL_VALUE


def test_control_and_invisible_characters_are_taken_out() -> None:
    assert clean("a\x1b[31m\x00b\u202ec\u200b d\ne\t f", 100) == "a[31m bc d e f"
    assert clean("one\r\ntwo\n\n", 100, lines=True) == "one\ntwo"
    assert clean("👩\u200d🚀", 10) == "👩\u200d🚀"


def test_instants_out_of_all_measure_are_no_instants() -> None:
    for text in ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59+14:00", "0001-01-01T00:00:00+14:00"):
        assert read({**GENERIC, "starts_at": text}).alerts[0].starts_at is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats() | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
SAMPLES = [ALERTMANAGER, GRAFANA, KUMA, GENERIC]


def spoiled(draw: st.DrawFn, value: Any) -> Any:
    """The sample with parts replaced by anything."""
    if draw(st.integers(0, 9)) == 0:
        return draw(JSON)
    if isinstance(value, dict):
        return {key: spoiled(draw, inner) for key, inner in value.items() if draw(st.integers(0, 19))}
    if isinstance(value, list):
        return [spoiled(draw, inner) for inner in value]
    return value


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    value = spoiled(draw, draw(st.sampled_from(SAMPLES))) if draw(st.booleans()) else draw(JSON)
    return json.dumps(value).encode()


@given(bodies())
def test_any_body_is_read_or_refused_in_words(body: bytes) -> None:
    try:
        batch = parse(body)
    except AerieError as error:
        assert error.status in (400, 422)
        assert error.message and error.message.isprintable()
        return
    for item in batch.alerts:
        assert len(item.fingerprint) == 32
        assert 0 < len(item.title) <= TITLE and item.title.isprintable()
        assert len(item.text) <= TEXT and len(item.url) <= URL
        assert item.starts_at is None or item.starts_at.tzinfo is UTC


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    try:
        parse(body)
    except AerieError as error:
        assert error.message
