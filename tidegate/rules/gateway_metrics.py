"""The metrics of HAProxy's exporter that Prometheus keeps; it drops all others at the scrape."""

from __future__ import annotations

from typing import Final

from tidegate.rules.metric import Metric

GATEWAY: Final = (
    Metric(
        "haproxy_frontend_http_requests_total",
        "counter",
        ("proxy",),
        "requests received by the frontend `http_in`, malformed and rejected ones included",
    ),
    Metric(
        "haproxy_frontend_http_responses_total",
        "counter",
        ("proxy", "code"),
        "responses sent to clients, by class of status",
    ),
    Metric(
        "haproxy_frontend_request_errors_total",
        "counter",
        ("proxy",),
        "requests that are not valid HTTP",
    ),
    Metric(
        "haproxy_frontend_requests_denied_total",
        "counter",
        ("proxy",),
        "requests refused at once, as too many wait or they would wait too long",
    ),
    Metric(
        "haproxy_frontend_responses_denied_total",
        "counter",
        ("proxy",),
        "such requests whose large body was read first",
    ),
    Metric(
        "haproxy_frontend_current_sessions",
        "gauge",
        ("proxy",),
        "connections and requests open now",
    ),
    Metric(
        "haproxy_backend_sessions_total",
        "counter",
        ("proxy",),
        "requests that arrived for the backend `model`, counted before they wait",
    ),
    Metric("haproxy_backend_current_queue", "gauge", ("proxy",), "requests that wait for a slot"),
    Metric(
        "haproxy_backend_current_sessions",
        "gauge",
        ("proxy",),
        "requests that wait or are processed, and one of the gateway itself",
    ),
    Metric(
        "haproxy_backend_active_servers",
        "gauge",
        ("proxy",),
        "replicas whose /ready answers 200 and that are not ejected",
    ),
    Metric(
        "haproxy_backend_http_requests_total",
        "counter",
        ("proxy",),
        "requests, counted when they are answered: not the arrival rate",
    ),
    Metric(
        "haproxy_backend_http_responses_total",
        "counter",
        ("proxy", "code"),
        "responses by class of status",
    ),
    Metric(
        "haproxy_backend_connection_errors_total",
        "counter",
        ("proxy",),
        "requests that failed: the wait was too long, or no attempt could connect",
    ),
    Metric(
        "haproxy_backend_response_errors_total",
        "counter",
        ("proxy",),
        "invalid or incomplete responses",
    ),
    Metric(
        "haproxy_backend_retry_warnings_total", "counter", ("proxy",), "attempts that were repeated"
    ),
    Metric(
        "haproxy_backend_redispatch_warnings_total",
        "counter",
        ("proxy",),
        "attempts repeated on another server",
    ),
    Metric(
        "haproxy_backend_client_aborts_total",
        "counter",
        ("proxy",),
        "clients that disconnected before the response",
    ),
    Metric(
        "haproxy_backend_server_aborts_total",
        "counter",
        ("proxy",),
        "responses that the replica cut off after their beginning",
    ),
    Metric(
        "haproxy_server_status",
        "gauge",
        ("proxy", "server", "state"),
        "1 for the state of a server; `waiting` is a server of the gateway itself",
    ),
    Metric(
        "haproxy_server_weight",
        "gauge",
        ("proxy", "server"),
        "1, or 0 while the gateway ejects the replica, because its answers are errors",
    ),
    Metric(
        "haproxy_server_current_sessions",
        "gauge",
        ("proxy", "server"),
        "requests that a server processes",
    ),
    Metric(
        "haproxy_server_http_responses_total",
        "counter",
        ("proxy", "server", "code"),
        "a server's responses by class of status",
    ),
    Metric(
        "haproxy_server_connection_errors_total",
        "counter",
        ("proxy", "server"),
        "failed connections",
    ),
    Metric(
        "haproxy_process_dropped_logs_total",
        "counter",
        (),
        "access events that are lost, because the program that reads them is stopped, gone or too slow",
    ),
    Metric("haproxy_process_uptime_seconds", "gauge", (), "how long HAProxy has been running"),
)
