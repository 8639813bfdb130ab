"""What Elasticsearch says when it refuses, in words."""

from __future__ import annotations

from elasticsearch import ApiError


def reason(error: ApiError) -> str:
    """What the server says, down to its cause."""
    body = error.body.get("error") if isinstance(error.body, dict) else None
    return explain(body) or str(error)


def explain(error: object) -> str:
    """An `error` object of an answer or of one item in it; empty if there is none."""
    if not isinstance(error, dict):
        return str(error or "")
    inner = [error, *error.get("root_cause", []), error.get("caused_by")]
    reasons = [str(one.get("reason")) for one in inner if isinstance(one, dict)]
    return f"{error.get('type')}: {'; '.join(dict.fromkeys(reasons))}"
