"""The demo of Ray Serve; deploy/ray/demo starts it in a network namespace of its own."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from tidegate.stack.prometheus import prometheus_binary

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
RAY, SERVE, PROMETHEUS = (f"http://127.0.0.1:{port}" for port in (8265, 8000, 9090))
TOKEN: list[str] = []
START_SECONDS = 180.0
# Down soon, and without a burst reserve: where replicas start slowly, that would keep a second one for long.
POLICY = "sloq:down_seconds=20,coverage=0"
SCENARIO = """
name = "ray-demo"
description = "3 requests a second, then 20, then 1"
arrivals = "poisson"
weights = { heavy = 1 }
phases = [
  { kind = "constant", seconds = 10, rate = 3 },
  { kind = "constant", seconds = 60, rate = 20 },
  { kind = "constant", seconds = 40, rate = 1 },
]
"""


def main() -> int:
    """Run the demo; returns 0 if the number of replicas rose and fell, and no request failed."""
    options = sys.argv[1:]
    ingress = "haproxy" if "--haproxy" in options else "proxy"
    with tempfile.TemporaryDirectory(prefix="tidegate-ray-") as name:
        folder = Path(name)
        programs: list[subprocess.Popen[bytes]] = []
        try:
            return run(folder, ingress, programs)
        except (RuntimeError, KeyboardInterrupt) as error:
            sys.stderr.write(f"ray-demo: {error or 'interrupted'}\n")
            return 1
        finally:
            for program in reversed(programs):
                program.terminate()
            for program in programs:
                try:
                    program.wait(20)
                except subprocess.TimeoutExpired:
                    program.kill()


def run(folder: Path, ingress: str, programs: list[subprocess.Popen[bytes]]) -> int:
    """Start everything, send the load, and show what happens."""
    token, ray_token = folder / "token", folder / "ray" / "token"
    ray_token.parent.mkdir()
    for path in (token, ray_token):
        path.touch(mode=0o600)
        path.write_text(secrets.token_hex(32))
    TOKEN.append(ray_token.read_text())
    environment = {
        **os.environ,
        "RAY_FOLDER": str(ray_token.parent),
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(ray_token),
        "TIDEGATE_RAY__TOKEN_FILE": str(ray_token),
        "TIDEGATE_CONFIG": str(HERE / "tidegate.toml"),
        "TIDEGATE_MODEL__PATH": str(ROOT / "artefacts" / "flights"),
        "TIDEGATE_STACK__DATA_DIR": str(folder / "data"),
        "TIDEGATE_RAY__INGRESS": ingress,
        "TIDEGATE_DEVICE__SIMULATED": "true",
        "TIDEGATE_RESIZER__TOKEN_FILE": str(token),
        "TIDEGATE_AUTOSCALER__RESIZER_TOKEN_FILE": str(token),
        "TIDEGATE_AUTOSCALER__POLICY": POLICY,
    }

    def start(name: str, *command: str) -> None:
        with (folder / f"{name}.log").open("wb") as log:
            programs.append(
                subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
            )

    def ready(what: str, url: str, log: str, accept: Any = bool) -> None:
        end = time.monotonic() + START_SECONDS
        while not accept(get(url)):
            if programs[-1].poll() is not None or time.monotonic() > end:
                text = (folder / f"{log}.log").read_text(errors="replace")[-2000:]
                raise RuntimeError(f"{what} did not start:\n{text}")
            time.sleep(0.3)

    print("1  Ray, and the flights model with one replica (a simulated device: 0.2 s a request)")
    start("ray", str(HERE / "head"), f"--{ingress}", "--num-cpus", "8")
    ready("Ray", f"{RAY}/api/version", "ray")
    deployed = subprocess.run(
        ("serve", "deploy", str(HERE / "serve.yaml")),
        env=environment,
        capture_output=True,
        check=False,
    )
    if deployed.returncode:
        raise RuntimeError(f"serve deploy failed:\n{deployed.stderr.decode()}")
    ready("the application", f"{RAY}/api/serve/applications/", "ray", is_running)

    print("2  Prometheus, the resizer and the autoscaler")
    tidegate = (sys.executable, "-m", "tidegate")
    subprocess.run(
        (*tidegate, "setup", "config", "--out", str(folder)), env=environment, check=True,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    home = folder / "prometheus"
    start(
        *("prometheus", str(prometheus_binary()), f"--config.file={home}/prometheus.yml"),
        *(f"--storage.tsdb.path={home}/data", "--web.listen-address=127.0.0.1:9090"),
        "--query.lookback-delta=10s",
    )
    ready("Prometheus", f"{PROMETHEUS}/api/v1/status/buildinfo", "prometheus")
    start("resizer", *tidegate, "resizer")
    start("autoscaler", *tidegate, "autoscaler", "--resizer", "http://127.0.0.1:9103")

    print("3  The load: 3 requests a second, after 10 s 20, after 70 s 1")
    (folder / "scenario.toml").write_text(SCENARIO)
    start(
        *(
            "loadgen",
            sys.executable,
            "-m",
            "tidegate.loadgen",
            "run",
            str(folder / "scenario.toml"),
        ),
        *("--url", SERVE, "--prometheus", PROMETHEUS, "--out", str(ROOT / "runs")),
        *("--rows", str(ROOT / "artefacts" / "flights" / "samples.ndjson"), "--slo", "0.5"),
    )
    counts = watch(programs[-1])
    summary = json.loads((ROOT / "runs" / "latest" / "summary.json").read_text())
    print("4  What the autoscaler decided")
    show_decisions(folder / "data" / "logs")
    return verdict(summary, counts)


def watch(load: subprocess.Popen[bytes]) -> list[int]:
    """Show the replicas and the latency until the load has ended and one replica is left."""
    counts: list[int] = []
    began = time.monotonic()
    print("   seconds  replicas  requests/s  waiting  p95")
    while load.poll() is None or (counts[-1] > 1 and time.monotonic() < began + 240):
        states = [one["state"] for one in replicas(get(f"{RAY}/api/serve/applications/"))]
        counts.append(states.count("RUNNING"))
        rate, queue, p95 = (
            value(f"service:{name}")
            for name in ("arrival_rate:15s", "queue:now", "latency_seconds_p95:15s")
        )
        seconds = time.monotonic() - began
        print(f"   {seconds:7.0f}  {counts[-1]:8}  {rate:>10}  {queue:>7}  {p95:>5}", flush=True)
        time.sleep(5)
    return counts


def show_decisions(logs: Path) -> None:
    """Show each decision that changed the number."""
    for path in sorted(logs.glob("autoscaler.*.ndjson")):
        for line in path.read_text().splitlines():
            event = json.loads(line)
            decision = event.get("tidegate", {}).get("decision", {})
            if decision.get("reason") in {"up", "down", "limited"}:
                print(f"   {event['@timestamp'][11:19]}  {event['message']}")


def verdict(summary: dict[str, Any], counts: list[int]) -> int:
    """Show the result; 0 if it is as it should be."""
    checks = {
        f"replicas went from {counts[0]} to {max(counts)} to {counts[-1]}": max(counts) > counts[0]
        and counts[-1] == 1,
        f"{summary['answered']} of {summary['planned']} requests answered, {summary['failed']} failed": (
            summary["failed"] == 0
        ),
    }
    for text, passed in checks.items():
        print(f"{'✓' if passed else '✗'} {text}")
    if not summary["valid"]:
        print(f"! the latencies are no measurement: {'; '.join(summary['invalid_reasons'])}")
    print("Look further: runs/latest/report.html, deploy/ray/README.md, docs/how-to/ray.md")
    return 0 if all(checks.values()) else 1


def get(url: str) -> Any:
    """The JSON at a URL; None if there is none yet."""
    try:
        request = urllib.request.Request(url)
        if TOKEN and url.startswith(RAY):
            request.add_header("Authorization", f"Bearer {TOKEN[0]}")
        with urllib.request.urlopen(request, timeout=5) as response:
            return json.load(response)
    except (OSError, ValueError):
        return None


def replicas(details: Any) -> list[dict[str, Any]]:
    """The replicas in what Ray reports."""
    application = (details or {}).get("applications", {}).get("default", {})
    deployments = application.get("deployments", {})
    found: list[dict[str, Any]] = deployments.get("model", {}).get("replicas", [])
    return found


def is_running(details: Any) -> bool:
    """Whether the application runs.

    Raises:
        RuntimeError: it cannot be deployed.
    """
    application = (details or {}).get("applications", {}).get("default", {})
    if application.get("status") == "DEPLOY_FAILED":
        raise RuntimeError(f"the application cannot be deployed:\n{application['message']}")
    return bool(application.get("status") == "RUNNING")


def value(series: str) -> str:
    """The value of a recorded series, for a table."""
    found = get(f"{PROMETHEUS}/api/v1/query?{urllib.parse.urlencode({'query': series})}")
    result = (found or {}).get("data", {}).get("result", [])
    return f"{float(result[0]['value'][1]):.2f}" if result else "-"


if __name__ == "__main__":
    sys.exit(main())
