"""A client of Elasticsearch that records its requests and gives prepared responses."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Recorded:
    """Answers by `METHOD /path`; a list is used up one by one, its last goes on."""

    answers: dict[str, Any] = field(default_factory=dict)
    asked: list[tuple[str, Any]] = field(default_factory=list)
    url: str = ""

    def answer(self, request: str, body: Any) -> tuple[int, Any]:
        self.asked.append((request, body))
        found = self.answers.get(request, (400, {"error": f"no handler found for {request}"}))
        if isinstance(found, list):
            found = found.pop(0) if len(found) > 1 else found[0]
        return found if isinstance(found, tuple) else (200, found)

    def changes(self) -> list[tuple[str, Any]]:
        return [(request, body) for request, body in self.asked if not request.startswith("GET")]
