"""Error messages from Elasticsearch's error responses."""

from __future__ import annotations

from elasticsearch import ApiError


def reason(error: ApiError) -> str:
    """Return the error message of the server, with its root causes."""
    body = error.body.get("error") if isinstance(error.body, dict) else None
    return explain(body) or str(error)


def explain(error: object) -> str:
    """Return the message of an `error` object in a response or a bulk item; empty if there is none."""
    if not isinstance(error, dict):
        return str(error or "")
    errors = [error, *error.get("root_cause", []), error.get("caused_by")]
    reasons = [str(cause.get("reason")) for cause in errors if isinstance(cause, dict)]
    return f"{error.get('type')}: {'; '.join(dict.fromkeys(reasons))}"
