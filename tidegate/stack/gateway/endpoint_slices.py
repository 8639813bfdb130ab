"""The addresses of the replicas in Kubernetes, from the API server: it has them before the cluster's DNS."""

from __future__ import annotations

from functools import partial

from kubernetes.aio import client
from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from tidegate.runtime.kubernetes_api import ANY_VERSION, ApiServer

SERVICE_LABEL = "kubernetes.io/service-name"


class _Object(BaseModel):
    model_config = ConfigDict(frozen=True, alias_generator=to_camel)


class Conditions(_Object):
    """`conditions` of an endpoint; null means unknown."""

    terminating: bool | None = None


class Endpoint(_Object):
    """A pod."""

    addresses: tuple[str, ...]
    conditions: Conditions = Conditions()


class EndpointSlice(_Object):
    """A part of the endpoints of a Service."""

    address_type: str
    endpoints: tuple[Endpoint, ...] | None = None


class EndpointSliceList(_Object):
    """The response to a list of EndpointSlices."""

    items: tuple[EndpointSlice, ...]

    def addresses(self, address_type: str) -> frozenset[str]:
        """The addresses of this type (IPv4, IPv6) of all pods but those that are about to end."""
        return frozenset(
            endpoint.addresses[0]  # all are of the same pod
            for one in self.items
            if one.address_type == address_type
            for endpoint in one.endpoints or ()
            if not endpoint.conditions.terminating
        )


async def read_addresses(api: ApiServer, service: str, address_type: str) -> frozenset[str]:
    """The addresses (IPv4 or IPv6) of the pods of a Service in the own namespace, ready or not.

    Raises:
        ApiServerError: the API server cannot be reached, or refuses.
    """
    discovery = client.DiscoveryV1Api(api.api_client)
    listed = await api.read(
        EndpointSliceList,
        partial(
            discovery.list_namespaced_endpoint_slice_without_preload_content,
            api.namespace,
            label_selector=f"{SERVICE_LABEL}={service}",
            resource_version=ANY_VERSION,
        ),
        missing="the API server has no EndpointSlices",
    )
    return listed.addresses(address_type)
