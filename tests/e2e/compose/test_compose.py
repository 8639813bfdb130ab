"""`docker compose up` under load, scaling and outages. The tests depend on their order."""

from __future__ import annotations

import base64
import csv
import json
import os
import re
import time
import urllib.error
import urllib.request
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import elasticsearch
import pytest
from elasticsearch.helpers import scan

from support.eventually import eventually
from support.processes.compose_project import docker
from support.processes.compose_stack import Compose
from support.processes.load import constant, served, write_scenario
from tidegate.observability_files.kibana import MAY_BE_EMPTY, data_views, saved_searches
from tidegate.provision.first_requests import REQUEST_COUNT
from tidegate.provision.secrets.inventory import CONSUMERS, SECRETS
from tidegate.settings import Settings

pytestmark = [pytest.mark.e2e, pytest.mark.in_order]

# The requests that `up` itself sends: the first requests, and one for the example of the model.
FIRST = REQUEST_COUNT + 1
STREAMS = "logs-tidegate.*,traces-tidegate.*"
REQUESTS = "logs-tidegate.request-*"
# More than one replica can serve, whose limit is about 19 per second; it has grown within a minute.
RATE, GROWTH_SECONDS = 25, 70
LOW_RATE, OUTAGE_SECONDS = 6, 30


def count(client: elasticsearch.Elasticsearch, index: str = REQUESTS, **query: object) -> int:
    """The number of events, or of those of a query."""
    client.indices.refresh(index=index)
    return int(client.count(index=index, query=query or {"match_all": {}})["count"])


def count_answered(client: elasticsearch.Elasticsearch, since: str) -> int:
    """The number of requests answered with 200 since an ISO time.

    A replica that refuses an attempt has an event of it with 503; the gateway repeats the request elsewhere.
    """
    answered = {"term": {"http.response.status_code": 200}}
    return count(client, bool={"filter": [answered, {"range": {"@timestamp": {"gte": since}}}]})


def event_ids(compose: Compose) -> set[str]:
    """The ids of all events in the event files."""
    volume = f"{compose.project}_logs:/v:ro"
    # An incomplete last line is still being written.
    show = (
        "import glob\n"
        "for file in glob.glob('/v/*.ndjson'):"
        " print(open(file, 'rb').read().rpartition(b'\\n')[0].decode())"
    )
    text = docker("run", "--rm", "-v", volume, "tidegate/base:bookworm", "python3", "-c", show)
    return {json.loads(line)["event"]["id"] for line in text.splitlines() if line}


def test_it_comes_up_healthy(compose: Compose) -> None:
    for container in compose.containers():
        assert container["State"]["Health"]["Status"] == "healthy", container["Name"]
    ended = {c["Name"]: c["State"] for c in compose.containers(every=True)}
    assert [n for n, s in ended.items() if not s["Running"] and s["ExitCode"]] == []
    assert compose.replicas()


def test_each_view_shows_data_after_up(compose: Compose) -> None:
    client = compose.elasticsearch()
    eventually(lambda: count(client) >= FIRST, "the first requests are in Elasticsearch")
    assert count(client) == FIRST

    def found(index: str, query: str) -> int:
        client.indices.refresh(index=index)
        condition = {"query_string": {"query": query or "*"}}
        return int(client.count(index=index, query=condition)["count"])

    queries = {view.name: (view.pattern, "") for view in data_views(Settings())}
    for search in saved_searches(Settings()):
        if search.id not in MAY_BE_EMPTY:
            queries[search.title] = (search.view.pattern, search.query)
    queries["refused by the service"] = (REQUESTS, "http.response.status_code:[400 TO 499]")
    for name, (index, query) in queries.items():
        eventually(partial(found, index, query), name)
    # Prometheus has a request rate and decisions, on a busy machine, which answers late, of more replicas.
    rate = "max_over_time(sum(rate(http_server_request_duration_seconds_count[15s]))[1h:5s])"
    assert compose.value(rate) > 1
    assert compose.value("max_over_time(tidegate_autoscaler_desired_replicas[1h])") >= 1


def verified(compose: Compose, *options: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """The exit code of `tidegate verify`, and its checks by component and name."""
    done = compose.call(
        *("--profile", "tools", "run", "--rm", "--no-deps", "-T", "tidegate", "verify", "--json"),
        *options,
    )
    assert done.stdout, done.stderr
    checks = json.loads(done.stdout)["checks"]
    return done.returncode, {f"{one['component']}: {one['check']}": one for one in checks}


def test_verify_passes_for_every_component(compose: Compose) -> None:
    code, checks = verified(compose, "--wait", "60")
    failed = [one for one in checks.values() if one["state"] == "failed"]
    assert (code, failed) == (0, [])
    # The components that are not available here are reported as skipped.
    skipped = {name.partition(":")[0] for name, one in checks.items() if one["state"] == "skipped"}
    assert skipped == {"Programs", "Logstash", "Kibana", "Grafana"}
    assert "event store after" in checks["Gateway and one request: spans"]["text"]
    assert "Always" in checks["Prometheus: alerts"]["text"], "a custom rule may fire"
    for service in ("model", "gateway", "elasticsearch", "prometheus", "resizer"):
        assert re.fullmatch(r"peak \d+ of \d+ MiB, \d+%", checks[f"Memory: {service}"]["text"])


def test_the_console_asks_for_its_secret_and_shows_what_runs(compose: Compose) -> None:
    def page(password: str) -> tuple[int, str]:
        request = urllib.request.Request(compose.url("CONSOLE"))
        login = base64.b64encode(f"anyone:{password}".encode()).decode()
        request.add_header("Authorization", f"Basic {login}")
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, ""

    assert page("guessed")[0] == 401
    code, text = page(compose.secrets("console")["console"])
    assert code == 200
    for name in ("gateway", "elasticsearch", "autoscaler", "resizer", "watch"):
        assert f'<th scope="row">{name}</th>' in text
    assert 'href="/traces/' in text, "a slowest request of the event store"


def test_the_collector_follows_no_link_that_a_replica_creates(compose: Compose) -> None:
    """With a program that an attacker could run in a replica."""
    intrude = (
        "import os\n"
        "logs = '/var/lib/tidegate/logs'\n"
        "os.symlink('/run/secrets/collector', f'{logs}/intruder.1-1.0.ndjson')\n"
        "os.mkfifo(f'{logs}/intruder.1-1.1.ndjson')\n"
        "for folder in ('collector', 'autoscaler', 'artefacts', 'setup', ''):\n"
        "    try:\n"
        "        open(f'/var/lib/tidegate/{folder}/control.json', 'w')\n"
        "    except OSError:\n"
        "        continue\n"
        "    print(folder, 'can be written to')\n"
        "print(os.listdir('/var/lib/tidegate/collector'))\n"
    )
    try:
        assert compose.run("exec", "-T", "model", "python", "-c", intrude) == "[]\n"
        eventually(
            lambda: (
                "intruder.1-1.0.ndjson is a symbolic link and is not read"
                in compose.call("logs", "--no-color", "collector").stdout
            ),
            "the collector reports that it does not read the link",
        )
    finally:
        intruders = [f"/var/lib/tidegate/logs/intruder.1-1.{number}.ndjson" for number in (0, 1)]
        compose.call("exec", "-T", "model", "rm", "-f", *intruders)
    listing = compose.run("exec", "-T", "collector", "ls", "-lA", "/var/lib/tidegate/collector")
    modes = {line.split()[-1]: line.split()[0] for line in listing.splitlines()[1:]}
    assert set(modes.values()) == {"-rw-------"}, modes
    assert "quarantine.ndjson" not in modes
    assert compose.secrets("collector").keys() == {"collector"}


def test_an_alert_of_prometheus_is_stored_in_elasticsearch(compose: Compose) -> None:
    client = compose.elasticsearch("tidegate_reader", "reader")
    term = {"term": {"tidegate.alert.name": "Always"}}

    def found() -> list[Any]:
        return list(client.search(index="logs-tidegate.*", query=term)["hits"]["hits"])

    (event, *_) = eventually(found, "the alert is an event")
    assert event["_source"]["tidegate"]["alert"]["status"] == "firing"


def test_no_secret_is_visible(compose: Compose) -> None:
    secrets = {one for name in CONSUMERS for one in compose.secrets(name).values()}
    assert len(secrets) == len(SECRETS)
    containers = compose.containers(every=True)
    assert [s for s in secrets if s in json.dumps(containers)] == []
    processes = "".join(docker("top", one["Id"], "-eo", "pid,args") for one in compose.containers())
    assert [s for s in secrets if s in processes] == []


def test_containers_are_confined(compose: Compose) -> None:
    for container in compose.containers():
        name, host = container["Name"], container["HostConfig"]
        assert "no-new-privileges:true" in host["SecurityOpt"], name
        assert host["CapDrop"] == ["ALL"], name
        assert host["Memory"] > 0, name
        assert not host["Privileged"], name
        published = [b["HostIp"] for p in (host["PortBindings"] or {}).values() for b in p]
        assert set(published) <= {"127.0.0.1"}, name
        sees_docker = any("docker.sock" in m["Destination"] for m in container["Mounts"])
        assert sees_docker == ("-resizer-" in name), name
        assert host["ReadonlyRootfs"] != ("-elasticsearch-" in name), name
        # Root owns the Docker socket. This Elasticsearch image starts as root to read passwords.
        root = container["Config"]["User"].partition(":")[0] in {"", "0", "root"}
        assert root == ("-resizer-" in name or "-elasticsearch-" in name), name


def test_load_scales_out_and_each_request_is_found(compose: Compose, tmp_path: Path) -> None:
    folder = tmp_path / "load"
    client = compose.elasticsearch()
    with compose.load(folder, constant(GROWTH_SECONDS, RATE)) as load:
        summary = load.summary()
    answered = served(summary)
    assert summary["replicas_min"] == 1
    assert summary["replicas_max"] >= 3
    # `verify` has sent requests before, some of which may reach the store only now.
    stored = partial(count_answered, client, summary["started_at"])
    eventually(lambda: stored() >= answered, "every answered request is in Elasticsearch")
    assert stored() == answered


def test_prometheus_scrapes_exactly_the_replicas(compose: Compose) -> None:
    front = f"{compose.project}_front"

    def same() -> bool:
        targets = compose.prometheus("targets?state=active")["activeTargets"]
        read = {t["labels"]["instance"] for t in targets if t["labels"]["job"] == "model"}
        return read == {
            f"{c['NetworkSettings']['Networks'][front]['IPAddress']}:8000"
            for c in compose.replicas()
            if c["State"]["Running"]
        }

    eventually(same, "Prometheus' targets are the replicas")


def test_a_label_is_counted_by_the_watcher(compose: Compose, tmp_path: Path) -> None:
    def post(path: str, body: Any) -> Any:
        request = urllib.request.Request(compose.url("GATEWAY") + path, json.dumps(body).encode())
        request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.load(response)

    eventually(lambda: compose.value('up{job="watch"}') == 1, "Prometheus reads the watcher", 30)
    row = json.loads(compose.rows(tmp_path).read_text().splitlines()[0])
    (prediction,) = post("/predict", {"instances": [row]})["predictions"]
    label = {"prediction_id": prediction["prediction_id"], "label": prediction["label"]}
    assert post("/feedback", {"outcomes": [label]})["accepted"] == 1
    read = "sum(tidegate_watch_outcomes_total)"
    eventually(lambda: compose.value(read) == 1, "its label is read from Elasticsearch", 60)


def test_outages_lose_and_duplicate_no_event(compose: Compose, tmp_path: Path) -> None:
    """Elasticsearch is stopped for half a minute; meanwhile a replica and the collector are killed."""
    folder = tmp_path / "load"
    with compose.load(folder, constant(OUTAGE_SECONDS + 50, LOW_RATE)) as load:
        (store,) = compose.containers("elasticsearch")
        (collector,) = compose.containers("collector")
        # A load that finds no replica ready does not begin.
        eventually(lambda: compose.value("service:arrival_rate:15s") > 0, "requests arrive", 60)
        docker("stop", "-t", "20", store["Id"])
        stopped_at = time.monotonic()
        compose.kill_replica()
        docker("kill", collector["Id"])
        eventually(compose.replicas, "a replica runs again", 30)
        while (
            time.monotonic() - stopped_at < OUTAGE_SECONDS
        ):  # the length of the outage is part of the test
            time.sleep(0.5)
        docker("start", store["Id"], collector["Id"])
        summary = load.summary()
    assert (summary["answered"], summary["failed"]) == (summary["planned"], 0)

    client = compose.elasticsearch()

    def reachable() -> bool:
        try:
            return bool(client.cluster.health(wait_for_status="yellow", timeout="1s")["status"])
        except (elasticsearch.ApiError, elasticsearch.TransportError):
            return False

    def missing() -> set[str]:
        client.indices.refresh(index=STREAMS)
        return written - {hit["_id"] for hit in scan(client, index=STREAMS, _source=False)}

    written = event_ids(compose)
    eventually(reachable, "Elasticsearch is back", 180)
    eventually(lambda: not missing(), "every line of every file is in Elasticsearch", 120)
    found = scan(client, index=REQUESTS, _source=["event.id", "trace.id"])
    requests = [hit["_source"] for hit in found]
    ids = Counter(one["event"]["id"] for one in requests)
    assert [one for one, times in ids.items() if times > 1] == []
    # Each response has its event, also those of the killed replica.
    with (folder / "runs" / "latest" / "requests.csv").open(newline="") as file:
        traces = {row["trace_id"] for row in csv.DictReader(file)}
    assert len(traces) == summary["answered"]
    assert traces - {one["trace"]["id"] for one in requests} == set()


def test_the_documented_commands_run(compose: Compose) -> None:
    shown = compose.run("run", "--rm", "--no-deps", "-T", "secrets", "secrets", "show", "viewer")
    assert shown.strip() == compose.secrets("setup")["viewer"]
    found = compose.run(
        *("--profile", "tools", "run", "--rm", "--no-deps", "-T", "tidegate"),
        *("search", "event.dataset:tidegate.decision", "--limit", "1", "--json"),
    )
    event: dict[str, Any] = json.loads(found.splitlines()[0])
    assert re.search(r"replica", event["message"])


def test_the_report_of_the_load_generator_belongs_to_the_owner_of_the_folder(
    compose: Compose, tmp_path: Path
) -> None:
    runs, owner = tmp_path / "runs", 12345
    write_scenario(runs, constant(2, LOW_RATE))
    os.chown(runs, owner, owner)
    runs.chmod(0o755)
    done = compose.call(
        *("--profile", "load", "run", "--rm", "--no-deps", "-T", "loadgen"),
        *("run", "runs/scenario.toml"),
        *("--prometheus", "http://prometheus:9090"),
        TIDEGATE_RUNS=str(runs),
    )
    assert done.returncode in {0, 98}, done.stdout + done.stderr
    report = runs / "latest" / "report.html"
    assert report.stat().st_uid == owner
    assert {path.stat().st_uid for path in runs.rglob("*")} - {0} == {owner}
    assert "runs/" in done.stdout
