"""The stack that is verified: where its parts are, and how to log in."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from tidegate.settings import Settings
from tidegate.stack.data_folder import Layout
from tidegate.stack.supervisor.control_client import ControlError, fetch_status
from tidegate.stack.supervisor.status import StackStatus
from tidegate.verify.peer import Peer, PeerError, login, trusted
from tidegate.verify.results import Result


class NoStackError(RuntimeError):
    """There is nothing to verify. Its text says what to do."""


@dataclass(frozen=True, slots=True)
class Target:
    """A running stack.

    Attributes:
        settings: those in force, with absolute paths.
        session: carries the requests.
        gateway: the gateway's address.
        prometheus: Prometheus' address.
        supervisor: the supervisor's control socket; None where there is none (Docker Compose).
    """

    settings: Settings
    session: aiohttp.ClientSession
    gateway: str
    prometheus: str
    supervisor: Path | None

    async def status(self) -> StackStatus:
        """What the supervisor says.

        Raises:
            PeerError: it does not answer, or there is none.
        """
        if self.supervisor is None:
            raise PeerError("the stack has no supervisor")
        try:
            return await asyncio.to_thread(fetch_status, self.supervisor)
        except ControlError as error:
            raise PeerError(str(error)) from error

    def peer(self, url: str) -> Peer:
        """A component that asks for no login."""
        return Peer(self.session, url)

    def elasticsearch(self) -> Peer:
        """Elasticsearch, as `[store.elasticsearch]` says.

        Raises:
            PeerError: a file of those settings cannot be read.
        """
        server = self.settings.store.elasticsearch
        name = "store.elasticsearch"
        return Peer(
            self.session,
            server.url,
            login(f"{name}.password_file", server.username, server.password_file),
            trusted(f"{name}.ca_file", server.ca_file),
        )

    def kibana(self) -> Peer:
        """Kibana.

        Raises:
            PeerError: the password cannot be read.
        """
        chosen = self.settings.verify
        user = login(
            "verify.kibana_password_file", chosen.kibana_username, chosen.kibana_password_file
        )
        tls = trusted("kibana.ca_file", self.settings.kibana.ca_file)
        # Kibana refuses a POST without this header.
        return Peer(self.session, chosen.kibana_url, {**user, "kbn-xsrf": "true"}, tls)

    def grafana(self) -> Peer:
        """Grafana.

        Raises:
            PeerError: the password cannot be read.
        """
        chosen = self.settings.verify
        user = login(
            "verify.grafana_password_file", chosen.grafana_username, chosen.grafana_password_file
        )
        return Peer(self.session, chosen.grafana_url, user)


Check = Callable[[Target], Awaitable[list[Result]]]
"""Asks one component. May raise `PeerError` or `StoreUnavailableError`: then the component has failed."""


def find(settings: Settings, session: aiohttp.ClientSession) -> Target:
    """The stack of the settings: that of `[verify]`, else the one that runs in the data folder.

    Args:
        settings: those in force, with absolute paths.
        session: carries the requests.

    Raises:
        NoStackError: there is none, or it does not say what it is.
    """
    chosen = settings.verify
    if chosen.gateway_url and chosen.prometheus_url:
        return Target(settings, session, chosen.gateway_url, chosen.prometheus_url, None)
    layout = Layout(settings.stack.data_dir)
    if layout.holder() is None:
        raise NoStackError(
            f"no stack runs in {layout.data}: start one with `tidegate up`. For one that runs elsewhere "
            "set verify.gateway_url and verify.prometheus_url"
        )
    try:
        status = fetch_status(layout.socket)
    except ControlError as error:
        raise NoStackError(f"the supervisor of {layout.data} runs, but {error}") from error
    gateway = chosen.gateway_url or status.gateway
    prometheus = chosen.prometheus_url or status.prometheus
    return Target(settings, session, gateway, prometheus, layout.socket)
