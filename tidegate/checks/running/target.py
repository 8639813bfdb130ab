"""The stack to verify: the addresses of its components, and the logins."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path

import aiohttp

from tidegate.runtime.check_results import Result
from tidegate.runtime.http_client import HttpClient, HttpError, elasticsearch_client, tls_context
from tidegate.runtime.secret_files import authorization, read_login
from tidegate.settings import Settings
from tidegate.stack.data_folder import Layout
from tidegate.stack.processes.running_settings import running_settings
from tidegate.stack.supervisor.control_client import ControlError, fetch_status
from tidegate.stack.supervisor.status import StackStatus
from tidegate.store.kinds import store_server


class NoStackError(RuntimeError):
    """There is no stack to verify; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Target:
    """A running stack, and the clients of its components.

    A client raises SecretFileError if its password cannot be read, HttpError if its CA file cannot.

    Attributes:
        settings: those that the stack was started with, and the current `[verify]`; with absolute paths.
        session: the HTTP session.
        gateway: the gateway's URL.
        prometheus: Prometheus' URL.
        supervisor: the supervisor's control socket; None under Docker Compose.
    """

    settings: Settings
    session: aiohttp.ClientSession
    gateway: str
    prometheus: str
    supervisor: Path | None

    async def status(self) -> StackStatus:
        """The status that the supervisor reports.

        Raises:
            HttpError: the supervisor does not respond, or there is none.
        """
        if self.supervisor is None:
            raise HttpError("the stack has no supervisor")
        try:
            return await asyncio.to_thread(fetch_status, self.supervisor)
        except ControlError as error:
            raise HttpError(str(error)) from error

    def client(self, url: str) -> HttpClient:
        """The client of a component without a login."""
        return HttpClient(self.session, url)

    def elasticsearch(self) -> HttpClient:
        """The client of the store's server, with its login."""
        if (server := store_server(self.settings)) is None:
            raise HttpError(f"store.kind: {self.settings.store.kind} has no server")
        return elasticsearch_client(self.session, server)

    def elasticsearch_of_viewer(self) -> HttpClient:
        """The client of Elasticsearch with the login of Kibana's user, who may lack a right."""
        return replace(self.elasticsearch(), headers=self._viewer())

    def _viewer(self) -> dict[str, str]:
        user, file = self.settings.verify.kibana_username, self.settings.verify.kibana_password_file
        return _login(user, file, "verify.kibana_password_file")

    def kibana(self) -> HttpClient:
        """The client of Kibana."""
        tls = tls_context(self.settings.kibana.ca_file, "kibana.ca_file")
        # Kibana refuses a POST without this header.
        headers = {**self._viewer(), "kbn-xsrf": "true"}
        return HttpClient(self.session, self.settings.verify.kibana_url, headers, tls)

    def grafana(self) -> HttpClient:
        """The client of Grafana."""
        verify = self.settings.verify
        user, file = verify.grafana_username, verify.grafana_password_file
        login = _login(user, file, "verify.grafana_password_file")
        return HttpClient(self.session, verify.grafana_url, login)


def _login(username: str, password_file: Path | None, setting: str) -> dict[str, str]:
    """The header of a login that is optional: without a file there is none."""
    return authorization(read_login(username if password_file else "", password_file, setting))


Check = Callable[[Target], Awaitable[list[Result]]]
"""The check of one component. It fails if this raises the error of a component, a secret or a store."""


def find_stack(settings: Settings, session: aiohttp.ClientSession) -> Target:
    """The stack named in `[verify]`, else the one that runs in the data folder, whose path is absolute.

    Raises:
        NoStackError: there is none, or its supervisor does not respond.
    """
    verify = settings.verify
    if verify.gateway_url and verify.prometheus_url:
        return Target(settings, session, verify.gateway_url, verify.prometheus_url, None)
    layout = Layout(settings.stack.data_dir)
    pid = layout.holder()
    if pid is None:
        raise NoStackError(
            f"no stack runs in {layout.data}: start one with `tidegate up`. For a stack that "
            "runs elsewhere, set verify.gateway_url and verify.prometheus_url"
        )
    try:
        status = fetch_status(layout.socket)
    except ControlError as error:
        raise NoStackError(f"the supervisor of {layout.data} is running, but {error}") from error
    if running := running_settings(layout, pid):
        settings = running.model_copy(update={"verify": verify})
    gateway = verify.gateway_url or status.gateway
    prometheus = verify.prometheus_url or status.prometheus
    return Target(settings, session, gateway, prometheus, layout.socket)
