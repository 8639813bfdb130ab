"""Prometheus with the project's recording rules, and prometheus-adapter for the HPA without KEDA."""

from __future__ import annotations

import os
import shutil
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from support.checkout import ROOT
from support.eventually import eventually
from support.kubernetes.certificates import Authority
from support.kubernetes.control_plane import ControlPlane
from support.kubernetes.faults.keda import aggregated, reading_rights
from support.kubernetes.processes import Processes
from support.kubernetes.programs import program

RULES: Final = ROOT / "observability" / "prometheus" / "rules" / "service.yml"
PORT: Final = 9090
ADAPTER: Final = "prometheus-adapter"
ADAPTER_PORT: Final = 16444
NAMESPACE: Final = "monitoring"
GROUP: Final = "custom.metrics.k8s.io"
START_SECONDS: Final = 60.0


@dataclass(frozen=True)
class Prometheus:
    """One Prometheus that scrapes one application, at HOST:PORT, for all ways of scaling.

    `namespace` is a label of the application's series.
    """

    folder: Path
    processes: Processes
    address: str
    application: str
    namespace: str

    @property
    def url(self) -> str:
        return f"http://{self.address}:{PORT}"

    def start(self, *, scrapes: bool = True) -> None:
        """Start it on the data that it has; without scrapes it answers old samples only."""
        self.folder.mkdir(parents=True, exist_ok=True)
        configuration = self.folder / "prometheus.yml"
        configuration.write_text(yaml.safe_dump(self._configuration(scrapes=scrapes)))
        self.processes.start(
            "prometheus",
            [
                *(executable(), f"--config.file={configuration}"),
                *(f"--storage.tsdb.path={self.folder / 'data'}", "--log.level=warn"),
                *(f"--web.listen-address={self.address}:{PORT}", "--query.lookback-delta=10s"),
            ],
        )
        eventually(self._is_ready, "Prometheus", seconds=START_SECONDS)

    def start_adapter(self, plane: ControlPlane) -> None:
        """Start prometheus-adapter, which offers `requests_per_second` of the Service `gateway`."""
        kubectl, own = plane.kubectl(), plane.kubeconfig()
        kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        for version in ("v1beta1", "v1beta2"):
            kubectl.apply(
                *aggregated(
                    ADAPTER,
                    f"{GROUP}/{version}",
                    namespace=NAMESPACE,
                    address=plane.address,
                    port=ADAPTER_PORT,
                ),
                namespace=NAMESPACE,
            )
        kubectl.apply(*reading_rights(GROUP))
        rules = self.folder / "adapter.yml"
        rules.write_text(yaml.safe_dump({"rules": [_ADAPTER_RULE]}))
        authority = Authority.create(self.folder / "adapter", "ca")
        authority.issue("tls", "/CN=adapter", names=(f"IP:{plane.address}",))
        self.processes.start(
            ADAPTER,
            [
                *(program(ADAPTER), f"--secure-port={ADAPTER_PORT}", f"--config={rules}"),
                *(f"--lister-kubeconfig={own}", f"--authentication-kubeconfig={own}"),
                *(f"--authorization-kubeconfig={own}", f"--prometheus-url={self.url}"),
                *("--metrics-relist-interval=5s", "--metrics-max-age=60s"),
                f"--tls-cert-file={self.folder}/adapter/tls.crt",
                f"--tls-private-key-file={self.folder}/adapter/tls.key",
            ],
        )

    def _configuration(self, *, scrapes: bool) -> dict[str, Any]:
        jobs = [
            {
                "job_name": job,
                "metrics_path": f"/{job}",
                "static_configs": [
                    {
                        "targets": [self.application],
                        "labels": {"namespace": self.namespace, "service": "gateway"},
                    }
                ],
            }
            for job in ("gateway", "model")
        ]
        return {
            "global": {
                "scrape_interval": "2s",
                "scrape_timeout": "2s",
                "evaluation_interval": "2s",
            },
            "rule_files": [str(RULES)],
            "scrape_configs": jobs if scrapes else [],
        }

    def _is_ready(self) -> bool:
        self.processes.check("prometheus")
        with urllib.request.urlopen(f"{self.url}/-/ready", timeout=2):
            return True


def executable() -> str:
    """The path of Prometheus, as scripts/prometheus installs it."""
    cache = Path(os.environ.get("TIDEGATE_CACHE") or Path.home() / ".cache" / "tidegate")
    return shutil.which("prometheus") or str(cache / "prometheus" / "prometheus")


# As in the adapter's own documentation, with the names of our series.
_ADAPTER_RULE: Final = {
    "seriesQuery": 'haproxy_backend_sessions_total{namespace!="",service!=""}',
    "resources": {
        "overrides": {"namespace": {"resource": "namespace"}, "service": {"resource": "service"}}
    },
    "name": {"as": "requests_per_second"},
    "metricsQuery": "sum(rate(<<.Series>>{<<.LabelMatchers>>}[1m])) by (<<.GroupBy>>)",
}
