"""Ray Serve in a network namespace of its own, with what scales it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from support import prometheus_queries
from support.checkout import ROOT
from support.components import unavailable
from support.eventually import eventually
from support.harnesses.event_files import events_in
from support.ray.namespace import Namespace, network_namespace
from tidegate.rules.prometheus_config import render_config
from tidegate.rules.rule_files import write_rule_files
from tidegate.settings import load
from tidegate.stack.prometheus import prometheus_binary

RAY = "http://127.0.0.1:8265"
SERVE = "http://127.0.0.1:8000"
PROMETHEUS = "http://127.0.0.1:9090"
OBJECTIVE_SECONDS = 1.5
# Ray starts some twenty processes, which takes 15 s on an idle machine of two cores.
WAIT_SECONDS = 240.0
# Fast enough for a test: down after 5 s, at once, and without a burst reserve. Where replicas start slowly, a
# step of the load would leave one that keeps a second replica for half an hour.
POLICY = "sloq:down_seconds=5,coverage=0"

# A replica answers 4 a second: 8 need three replicas.
HIGH: list[dict[str, Any]] = [{"kind": "constant", "seconds": 25, "rate": 8}]
# Until it is stopped.
STEADY: list[dict[str, Any]] = [{"kind": "constant", "seconds": 400, "rate": 2}]


@dataclass
class Cluster:
    """A running Ray with Serve.

    Attributes:
        folder: for all files.
        environment: of every program.
    """

    namespace: Namespace
    folder: Path
    environment: dict[str, str]
    processes: dict[str, subprocess.Popen[bytes]]

    @property
    def token_file(self) -> Path:
        """The file with Ray's own token."""
        return self.folder / "ray" / "token"

    def start(self, name: str, *arguments: str) -> None:
        """Start a program that runs until the end; its output goes to a file."""
        with (self.folder / f"{name}.log").open("wb") as log:
            self.processes[name] = subprocess.Popen(
                self.namespace.command(*arguments),
                env=self.environment,
                cwd=self.folder,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def stop(self, name: str, number: signal.Signals = signal.SIGTERM) -> None:
        """End a program by a signal."""
        process = self.processes[name]
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        # nsenter forks the program, and passes no signal on.
        for child in eventually(lambda: children.read_text().split(), f"{name} has started"):
            os.kill(int(child), number)
        process.wait(120)

    def stop_load(self, name: str) -> dict[str, Any]:
        """Stop a load, which waits for the outstanding responses; returns its summary."""
        assert self.processes[f"load-{name}"].poll() is None, "the load is still on"
        self.stop(f"load-{name}", signal.SIGINT)
        return self.summary(name)

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def deploy(self, config: dict[str, Any]) -> None:
        """Deploy by `serve deploy`, and wait until all its replicas run."""
        file = self.folder / "serve.yaml"
        file.write_text(yaml.safe_dump(config))
        before = self.application().get("last_deployed_time_s")
        done = self.namespace.run("serve", "deploy", str(file), env=self.environment)
        assert done.returncode == 0, done.stdout + done.stderr

        def deployed() -> bool:
            application = self.application()
            assert application.get("status") != "DEPLOY_FAILED", application.get("message")
            return (
                application.get("status") == "RUNNING"
                and application["last_deployed_time_s"] != before
                and all(one["state"] == "RUNNING" for one in self.replicas())
            )

        eventually(deployed, "the application runs", WAIT_SECONDS)

    def application(self) -> dict[str, Any]:
        """What Ray says of the application; empty if there is none."""

        def read() -> dict[str, Any]:  # the dashboard restarts its parts when they answer too late
            return dict(get_json(f"{RAY}/api/serve/applications/", self.token_file.read_text()))

        answer = eventually(read, "Ray's dashboard answers", WAIT_SECONDS)
        found: dict[str, Any] = answer["applications"].get("default", {})
        return found

    def replicas(self) -> list[dict[str, Any]]:
        """The replicas, as Ray reports them."""
        found: list[dict[str, Any]] = self.application()["deployments"]["model"]["replicas"]
        return found

    def started(self) -> list[dict[str, Any]]:
        """The replicas, once each of them runs; one that starts has no pid."""

        def all_run() -> list[dict[str, Any]]:
            found = self.replicas()
            return found if all(one["state"] == "RUNNING" for one in found) else []

        return eventually(all_run, "each replica runs", WAIT_SECONDS)

    def running(self) -> int:
        return sum(one["state"] == "RUNNING" for one in self.replicas())

    def start_scaling(self, ingress: str) -> None:
        """Start Prometheus, the resizer and the autoscaler."""
        self.start_prometheus(ingress)
        token = self.folder / "token"
        token.write_text("a-token-for-the-test")
        token.chmod(0o600)
        self.environment |= {
            "TIDEGATE_RAY__INGRESS": ingress,
            "TIDEGATE_RAY__TOKEN_FILE": str(self.token_file),
            "TIDEGATE_RESIZER__BACKEND": "ray",
            "TIDEGATE_RESIZER__TOKEN_FILE": str(token),
            "TIDEGATE_AUTOSCALER__RESIZER_TOKEN_FILE": str(token),
            "TIDEGATE_AUTOSCALER__POLICY": POLICY,
        }
        self.start("resizer", *tidegate("resizer"))
        self.start("autoscaler", *tidegate("autoscaler", "--resizer", "http://127.0.0.1:9103"))

    def start_prometheus(self, ingress: str) -> None:
        """Start Prometheus with the rules for what receives the requests: `proxy` or `haproxy`."""
        settings = load(
            ray={"ingress": ingress},
            stack={"data_dir": self.folder / "data"},
            service={"name": "flights"},
            slo={"latency_seconds": OBJECTIVE_SECONDS},
        )
        home = self.folder / "prometheus"
        write_rule_files(settings, home / "rules")
        (home / "prometheus.yml").write_text(render_config(settings))
        self.start(
            "prometheus",
            str(prometheus_binary()),
            f"--config.file={home}/prometheus.yml",
            f"--storage.tsdb.path={home}/data",
            "--web.listen-address=127.0.0.1:9090",
            "--query.lookback-delta=10s",
        )
        eventually(lambda: self.query("up"), "Prometheus answers", WAIT_SECONDS)

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The samples of an instant query to Prometheus."""
        return prometheus_queries.samples(PROMETHEUS, expression)

    def load(self, name: str, phases: list[dict[str, Any]]) -> None:
        """Start the load generator with heavy requests, each of which holds a slot for 0.5 s."""
        text = f'name = "{name}"\ndescription = "{name}"\narrivals = "poisson"\nweights = {{ heavy = 1 }}\n'
        for phase in phases:
            lines = "\n".join(f"{key} = {json.dumps(value)}" for key, value in phase.items())
            text += f"\n[[phases]]\n{lines}\n"
        (self.folder / f"{name}.toml").write_text(text)
        self.start(
            f"load-{name}",
            *(sys.executable, "-m", "tidegate.loadgen", "run", str(self.folder / f"{name}.toml")),
            *("--url", SERVE, "--rows", str(ROOT / "artefacts" / "flights" / "samples.ndjson")),
            *("--out", str(self.folder / f"runs-{name}"), "--timeout", "120"),
        )

    def summary(self, name: str) -> dict[str, Any]:
        """The summary of a load, which must have ended."""
        process = self.processes[f"load-{name}"]
        # 98: sent late, which on a busy machine is no fault of what is tested. 130: stopped.
        assert process.wait(180) in {0, 98, 130}, self.log(f"load-{name}")
        path = self.folder / f"runs-{name}" / "latest" / "summary.json"
        found: dict[str, Any] = json.loads(path.read_text())
        return found

    def events(self, dataset: str = "request", node: str = "flights-*") -> list[dict[str, Any]]:
        """The whole event lines of all replicas so far, or of a component."""
        return events_in(self.folder / "data" / "logs", dataset, node)

    def predictions(self) -> int:
        """The number of answered predictions that have an event."""
        return sum(
            event["url"]["path"] == "/predict"
            # A client that left before its response has an event without one.
            and event["http"].get("response", {}).get("status_code") == 200
            for event in self.events()
        )

    def targets(self) -> set[str]:
        """The registered replicas."""
        return {path.stem for path in (self.folder / "data" / "targets").glob("*.json")}


def tidegate(*arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "tidegate", *arguments)


def get_json(url: str, token: str = "") -> Any:
    request = urllib.request.Request(url)
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    with urllib.request.urlopen(request, timeout=90) as response:
        return json.load(response)


def predict(**headers: str) -> tuple[int, dict[str, str], bytes]:
    """Send one heavy prediction; returns its status, headers and body."""
    rows = (ROOT / "artefacts" / "flights" / "samples.ndjson").read_text()
    row = json.loads(rows.partition("\n")[0])
    body = json.dumps({"instances": [row], "work": "heavy"}).encode()
    request = urllib.request.Request(f"{SERVE}/predict", body, {"content-type": "application/json"})
    for name, value in headers.items():
        request.add_header(name, value)
    with urllib.request.urlopen(request, timeout=60) as response:
        return response.status, dict(response.headers), response.read()


def serve_config(name: str, **deployment: Any) -> dict[str, Any]:
    """A configuration of deploy/ray for the test."""
    config: dict[str, Any] = yaml.safe_load((ROOT / "deploy" / "ray" / name).read_text())
    config["applications"][0]["deployments"][0].update(deployment)
    return config


@contextmanager
def ray_cluster(folder: Path, artefact: Path, *options: str) -> Iterator[Cluster]:
    """A Ray node in a namespace of its own; this thread joins its network until the end of the block."""
    script = ROOT / "scripts" / "environment"
    home = subprocess.run(
        [script, "path", "ray"], capture_output=True, text=True, check=True
    ).stdout.strip()
    if subprocess.run([script, "has", "ray"], check=False).returncode:
        unavailable("Ray is not installed: run scripts/environment install ray")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environment |= {
        "PATH": f"{home}/bin:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "RAY_FOLDER": str(folder / "ray"),
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(folder / "ray" / "token"),
        # 5 and 10 s by default: a busy machine needs more, or Ray starts its proxy again and again.
        "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "60",
        "RAY_SERVE_PROXY_HEALTH_CHECK_TIMEOUT_S": "60",
        "TIDEGATE_MODEL__PATH": str(artefact),
        "TIDEGATE_SERVICE__NAME": "flights",
        "TIDEGATE_STACK__DATA_DIR": str(folder / "data"),
        # Long requests at a low rate: Ray's proxy alone would keep a busy machine from more.
        "TIDEGATE_DEVICE__SIMULATED": "true",
        "TIDEGATE_DEVICE__HEAVY_SECONDS": "0.5",
        "TIDEGATE_SLO__LATENCY_SECONDS": str(OBJECTIVE_SECONDS),
        "TIDEGATE_TELEMETRY__SAMPLE_RATIO": "0.1",
    }
    with ExitStack() as stack:
        started: dict[str, subprocess.Popen[bytes]] = {}
        stack.callback(lambda: [process.wait(30) for process in started.values()])
        namespace = stack.enter_context(network_namespace())
        cluster = Cluster(namespace, folder, environment, started)
        stack.enter_context(namespace.joined())
        cluster.start("ray", str(ROOT / "deploy" / "ray" / "head"), *options, "--num-cpus", "8")

        def answers() -> bool:
            assert cluster.processes["ray"].poll() is None, cluster.log("ray")
            # Its dashboard answers before the node has started, which may fail: Ray waits only 30 s for it.
            return "Ray runtime started" in cluster.log("ray") and bool(
                get_json(f"{RAY}/api/version", cluster.token_file.read_text())
            )

        eventually(answers, "Ray's dashboard answers", WAIT_SECONDS)
        yield cluster
