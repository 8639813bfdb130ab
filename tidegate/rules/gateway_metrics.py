"""The metrics of HAProxy's exporter that Prometheus keeps; it drops all others at the scrape."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric as Prometheus stores it."""

    name: str  # with its unit and, for a counter, `_total`; a histogram without `_bucket`, `_sum`, `_count`
    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]  # its own labels, besides `job`, `instance` and `replica`
    meaning: str


# By the name of each series with its labels.
_MEANINGS: Final = {
    "haproxy_frontend_http_requests_total{proxy}": (
        "requests received by the frontend `http_in`, malformed and rejected ones included"
    ),
    "haproxy_frontend_http_responses_total{proxy,code}": (
        "responses sent to clients, by class of status"
    ),
    "haproxy_frontend_request_errors_total{proxy}": "requests that are not valid HTTP",
    "haproxy_frontend_requests_denied_total{proxy}": (
        "requests refused at once, as too many wait or they would wait too long"
    ),
    "haproxy_frontend_responses_denied_total{proxy}": (
        "such requests whose large body was read first"
    ),
    "haproxy_frontend_current_sessions{proxy}": "connections and requests open now",
    "haproxy_backend_sessions_total{proxy}": (
        "requests that arrived for the backend `model`, counted before they wait"
    ),
    "haproxy_backend_current_queue{proxy}": "requests that wait for a slot",
    "haproxy_backend_current_sessions{proxy}": (
        "requests that wait or are processed, and one of the gateway itself"
    ),
    "haproxy_backend_active_servers{proxy}": (
        "replicas whose /ready answers 200 and that are not ejected"
    ),
    "haproxy_backend_http_requests_total{proxy}": (
        "requests, counted when they are answered: not the arrival rate"
    ),
    "haproxy_backend_http_responses_total{proxy,code}": "responses by class of status",
    "haproxy_backend_connection_errors_total{proxy}": (
        "requests that failed: the wait was too long, or no attempt could connect"
    ),
    "haproxy_backend_response_errors_total{proxy}": "invalid or incomplete responses",
    "haproxy_backend_retry_warnings_total{proxy}": "attempts that were repeated",
    "haproxy_backend_redispatch_warnings_total{proxy}": "attempts repeated on another server",
    "haproxy_backend_client_aborts_total{proxy}": "clients that disconnected before the response",
    "haproxy_backend_server_aborts_total{proxy}": (
        "responses that the replica cut off after their beginning"
    ),
    "haproxy_server_status{proxy,server,state}": (
        "1 for the state of a server; `waiting` is a server of the gateway itself"
    ),
    "haproxy_server_weight{proxy,server}": (
        "1, or 0 while the gateway ejects the replica, because its answers are errors"
    ),
    "haproxy_server_current_sessions{proxy,server}": "requests that a server processes",
    "haproxy_server_http_responses_total{proxy,server,code}": (
        "a server's responses by class of status"
    ),
    "haproxy_server_connection_errors_total{proxy,server}": "failed connections",
    "haproxy_process_dropped_logs_total": (
        "access events that are lost, because the program that reads them is stopped, gone or too slow"
    ),
    "haproxy_process_uptime_seconds": "how long HAProxy has been running",
}


def _metric(series: str, meaning: str) -> Metric:
    name, _, labels = series.removesuffix("}").partition("{")
    kind: Literal["counter", "gauge"] = "counter" if name.endswith("_total") else "gauge"
    return Metric(name, kind, tuple(labels.split(",")) if labels else (), meaning)


GATEWAY: Final = tuple(_metric(series, meaning) for series, meaning in _MEANINGS.items())
