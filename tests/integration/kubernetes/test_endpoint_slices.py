"""The gateway reads the replicas' addresses from a real API server with the rights of the chart's Role."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from support.kubernetes.model_deployment import GATEWAY_RULES, ModelDeployment
from tidegate.runtime.kubernetes_api import ApiServerError, open_api_server
from tidegate.stack.gateway.endpoint_slices import read_addresses


def endpoint_slice(
    name: str, endpoints: Mapping[str, Mapping[str, bool]], *, service: str = "replicas"
) -> dict[str, Any]:
    """One with the conditions of each address, all of one family."""
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": name, "labels": {"kubernetes.io/service-name": service}},
        "addressType": "IPv6" if ":" in next(iter(endpoints), "") else "IPv4",
        "ports": [{"name": "http", "port": 8000}],
        "endpoints": [
            {"addresses": [address], "conditions": dict(conditions)}
            for address, conditions in endpoints.items()
        ],
    }


async def addresses(
    model: ModelDeployment,
    monkeypatch: pytest.MonkeyPatch,
    rules: list[dict[str, Any]],
    address_type: str = "IPv4",
) -> frozenset[str]:
    # The client reads KUBECONFIG when it is imported.
    monkeypatch.setattr(
        "kubernetes.aio.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(model.account(rules))
    )
    async with open_api_server(10) as api:
        own = replace(api, namespace=model.namespace)
        return await read_addresses(own, "replicas", address_type)


async def test_the_pods_of_all_slices_that_do_not_end_have_addresses(
    model: ModelDeployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await addresses(model, monkeypatch, GATEWAY_RULES) == frozenset()
    model.plane.kubectl().apply(
        endpoint_slice(
            "one",
            {
                "10.0.0.1": {"ready": True},
                # As in a Service with `publishNotReadyAddresses`.
                "10.0.0.2": {"ready": True, "serving": False, "terminating": False},
                "10.0.0.3": {"ready": True, "serving": True, "terminating": True},
            },
        ),
        endpoint_slice("two", {"10.0.0.4": {"ready": True}, "10.0.0.1": {"ready": True}}),
        endpoint_slice("empty", {}),
        endpoint_slice("six", {"fd00::1": {"ready": True}}),
        endpoint_slice("another", {"10.0.0.5": {"ready": True}}, service="another"),
        namespace=model.namespace,
    )
    found = await addresses(model, monkeypatch, GATEWAY_RULES)
    assert found == {"10.0.0.1", "10.0.0.2", "10.0.0.4"}
    assert await addresses(model, monkeypatch, GATEWAY_RULES, "IPv6") == {"fd00::1"}


async def test_a_missing_permission_is_named(
    model: ModelDeployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ApiServerError, match=r"endpointslices.* is forbidden"):
        await addresses(model, monkeypatch, [])
