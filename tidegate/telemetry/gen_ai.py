"""What a request says of a generative model by `annotate(gen_ai=…)`, with the names of OpenTelemetry."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from prometheus_client import CollectorRegistry, Histogram

GEN_AI: Final = "gen_ai"
# https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics/#metric-gen_aiclienttokenusage
_TOKEN_BUCKETS: Final = tuple(float(4**power) for power in range(14))
# A client may choose the model's name: further ones are `_OTHER`, and each is cut to so many bytes.
_MAX_MODELS: Final = 50
_MAX_NAME: Final = 100
_MAX_TOKENS: Final = 2**63


def gen_ai_attributes(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes of a span, such as `gen_ai.usage.input_tokens`, from the fields of an event."""
    return dict(_flat(GEN_AI, fields.get(GEN_AI)))


def _flat(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _flat(f"{name}.{key}", item)
    elif value is not None:
        yield name, value if isinstance(value, str | bool | int | float) else str(value)


class TokenMetrics:
    """`gen_ai_client_token_usage`: the tokens of each request, by model and by kind."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._usage = Histogram(
            "gen_ai_client_token_usage",
            "Tokens of a request that annotate(gen_ai=…) states, by gen_ai_token_type: input or output.",
            ("gen_ai_response_model", "gen_ai_token_type"),
            buckets=_TOKEN_BUCKETS,
            registry=registry,
        )
        self._models: set[str] = set()

    def observe(self, fields: Mapping[str, Any]) -> None:
        """Record the tokens of a request by the fields of its event."""
        found = gen_ai_attributes(fields)
        name = str(found.get("gen_ai.response.model", found.get("gen_ai.request.model", "")))
        # A lone surrogate, which JSON can have, would make all metrics unreadable.
        model = name.encode("utf-8", "replace")[:_MAX_NAME].decode("utf-8", "ignore")
        if len(self._models) < _MAX_MODELS:
            self._models.add(model)
        elif model not in self._models:
            model = "_OTHER"
        for kind in ("input", "output"):
            tokens = found.get(f"gen_ai.usage.{kind}_tokens")
            if isinstance(tokens, int | float) and 0 <= tokens < _MAX_TOKENS:
                self._usage.labels(model, kind).observe(tokens)
