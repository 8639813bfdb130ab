"""The recorded series of slots from the gateway, for replicas that report no slots of their own.

A command (`replicas.command`) may have no `tidegate_slots`. The gateway sends each replica at most
`slots.per_replica` requests at once, so it knows how many are in progress. Their mean time follows by
Little's law: the mean number in progress divided by the rate of responses. HAProxy's own mean response time
averages over hundreds of responses, and follows the load too late for scaling.
"""

from __future__ import annotations

from typing import Final

from tidegate.rules.promql import histogram_quantile, without_nan
from tidegate.rules.recording import Group, Recording, with_expressions

# Not the server `waiting`, which belongs to the gateway itself.
_SERVERS: Final = 'job="gateway",proxy="model",server=~"model[0-9]+"'
# An ejected replica gets no requests.
UP: Final = (
    f'haproxy_server_status{{{_SERVERS},state="UP"}} == 1\n'
    f"unless on (server) haproxy_server_weight{{{_SERVERS}}} == 0"
)
IN_PROGRESS: Final = f"haproxy_server_current_sessions{{{_SERVERS}}}"
RESPONSES: Final = f"haproxy_server_http_responses_total{{{_SERVERS}}}"


def with_gateway_slots(groups: tuple[Group, ...], slots: int) -> tuple[Group, ...]:
    """The groups, in which each series of slots has the gateway's value where replicas report none."""
    values = _values(slots)

    def either(recording: Recording) -> str:
        value = values.get(recording.name)
        own = recording.expression
        return f"(\n{own}\n)\nor\n(\n{value}\n)" if value else own

    return with_expressions(groups, either)


def _values(slots: int) -> dict[str, str]:
    return {
        "service:slots_busy:now": f"sum({IN_PROGRESS} and on (server) ({UP}))",
        "service:slots_busy_most:1m": (
            f"max(max_over_time({IN_PROGRESS}[1m]) and on (server) ({UP}))"
        ),
        "service:slots:now": f"{slots} * count({UP})",
        "service:slots_per_replica:now": f"{slots} + 0 * count({UP})",
        "service:replica_age_seconds:now": (
            f"time() - min(timestamp({IN_PROGRESS}) and on (server) ({UP}))"
        ),
        "service:completed_rate:15s": f"sum(rate({RESPONSES}[15s]))",
        "service:slot_objective_seconds_p95:1m": histogram_quantile(
            0.95, 'tidegate_gateway_slot_seconds_bucket{job="model"}', "1m"
        ),
        **{
            f"service:slot_seconds_mean:{window}": without_nan(
                f"sum(avg_over_time({IN_PROGRESS}[{window}]))\n/\n(sum(rate({RESPONSES}[{window}])) > 0)"
            )
            for window in ("15s", "1m")
        },
    }
