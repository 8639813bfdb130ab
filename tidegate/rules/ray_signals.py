"""The recorded series of the queue and the arrivals where Ray Serve receives the requests.

Ray's proxy queues in its router, whose metrics Ray's agent exports on each node. Ray's HAProxy does not
queue: requests wait in the replicas, which report it, and its own numbers start anew at each of its reloads,
of which there are some for each replica that comes or goes.
"""

from __future__ import annotations

from typing import Final

from tidegate.rules.burn_rates import LONG_WINDOWS, RATIO_WINDOWS
from tidegate.rules.promql import quoted, without_nan
from tidegate.rules.recording import Group, with_expressions
from tidegate.settings import Ray

RATE_WINDOWS: Final = {"15s": 15, "1m": 60}
ROUTER_REQUESTS: Final = "ray_serve_num_router_requests_total"
ROUTER_QUEUE: Final = "ray_serve_deployment_queued_queries"
REPLICA_HEALTHY: Final = "ray_serve_deployment_replica_healthy"
RESPONSES: Final = "ray_serve_num_http_requests_total"
PROXY_METRICS: Final = (ROUTER_REQUESTS, ROUTER_QUEUE, REPLICA_HEALTHY, RESPONSES)
"""What Prometheus keeps of Ray's own metrics."""
ARRIVALS: Final = 'tidegate_ray_arrivals_total{job="model"}'
KNOWN_WITHIN: Final = "5m"
WAITING: Final = 'tidegate_ray_waiting{job="model"}'


def with_ray_signals(groups: tuple[Group, ...], ray: Ray) -> tuple[Group, ...]:
    """The groups, in which the series of the gateway have the values of what Ray receives requests with."""
    if ray.ingress == "none":
        return groups
    values = _behind_proxy(ray) if ray.ingress == "proxy" else _behind_haproxy()
    return with_expressions(groups, lambda each: values.get(each.name, each.expression))


def _behind_proxy(ray: Ray) -> dict[str, str]:
    application = f'job="gateway",application={quoted(ray.application)}'
    deployment = f"{application},deployment={quoted(ray.deployment)}"
    queue = f"{ROUTER_QUEUE}{{{deployment}}}"
    values = {
        "service:queue:now": f"sum({queue})",
        "service:replicas_ready:now": f"sum({REPLICA_HEALTHY}{{{deployment}}})",
        "service:gateway_age_seconds:now": f"time() - min(timestamp({queue}))",
    }
    for window in RATE_WINDOWS:
        rate = f"sum(rate({ROUTER_REQUESTS}{{{deployment}}}[{window}]))"
        # Ray exports the counter from the first request on; its queue is there before.
        values[f"service:arrival_rate:{window}"] = f"{rate}\nor\n0 * sum({queue})"
    for window in RATIO_WINDOWS:
        answered = f"sum(rate({RESPONSES}{{{application}}}[{window}]))"
        failed = f'sum(rate({RESPONSES}{{{application},status_code=~"5.."}}[{window}]))'
        values[f"service:error_ratio:{window}"] = without_nan(
            f"(\n  {failed}\n  or\n  0 * {answered}\n)\n/\n{answered}"
        )
    for window in LONG_WINDOWS:
        values[f"service:responses:{window}"] = (
            f"sum(increase({RESPONSES}{{{application}}}[{window}])) > 0"
        )
    return values


def _behind_haproxy() -> dict[str, str]:
    rates = {f"service:arrival_rate:{window}": _arrival_rate(window) for window in RATE_WINDOWS}
    return {"service:queue:now": f"sum({WAITING})", **rates}


def _arrival_rate(window: str) -> str:
    """The rate of arrivals over all replicas, of which new ones begin at 0 within the window.

    `rate` sees nothing of a series before its second sample, so it is too low for a window after each scaling
    up. What a new replica has counted, it has counted since. It is new if it had no sample within minutes
    before the window: with a single sample, one failed scrape would count all that a replica ever counted.
    """
    known = f"max_over_time({ARRIVALS}[{KNOWN_WITHIN}] offset {window})"
    return (
        f"(\n"
        f"  (sum(rate({ARRIVALS}[{window}]) and {known}) or vector(0))\n"
        f"  +\n"
        f"  (sum({ARRIVALS} unless {known}) or vector(0)) / {RATE_WINDOWS[window]}\n"
        f")\n"
        f"and on () (count({ARRIVALS}) > 0)"
    )
