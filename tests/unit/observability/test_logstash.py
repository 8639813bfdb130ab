"""Logstash's configuration, as far as it can be judged without a Logstash."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyparsing
import pytest
import yaml

from support import logstash_config, logstash_pipeline
from support.components import unavailable
from tidegate.collector.logstash import BODY_BYTES
from tidegate.provision.elasticsearch.roles import ROLES
from tidegate.provision.secrets.inventory import SECRETS
from tidegate.rules.alerts import alerts
from tidegate.settings import Logstash, Settings
from tidegate.store import fields

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "observability" / "logstash"
IN_IMAGE = Path("/usr/share/logstash")
# The settings of each plugin that are used here, as its reference for Logstash 9.2 has them
# (https://www.elastic.co/docs/reference/logstash/plugins/plugins-inputs-http and so on).
KNOWN = {
    "http": "additional_codecs codec ecs_compatibility host id max_content_length password port "
    "remote_host_target_field request_headers_target_field user",
    "json_lines": "decode_size_limit_bytes ecs_compatibility",
    "dead_letter_queue": "clean_consumed commit_offsets id path pipeline_id",
    "mutate": "add_field copy",
    "fingerprint": "concatenate_all_fields method target",
    "ruby": "path",
    # With data_stream => true it refuses `index`, `template` and others.
    "elasticsearch": "data_stream data_stream_auto_routing data_stream_dataset data_stream_namespace "
    "data_stream_type document_id hosts id manage_template password retry_max_interval "
    "silence_errors_in_log user",
}
# Of logstash.yml and pipelines.yml
# (https://www.elastic.co/docs/reference/logstash/logstash-settings-file, …/multiple-pipelines).
SETTINGS = (
    "api.http.host api.http.port config.reload.automatic dead_letter_queue.enable "
    "dead_letter_queue.max_bytes node.name path.config pipeline.batch.size "
    "pipeline.ecs_compatibility pipeline.id pipeline.ordered pipeline.workers queue.max_bytes "
    "queue.page_capacity queue.type"
)


def sections(name: str) -> list[logstash_config.Section]:
    return logstash_config.parse((FOLDER / "pipeline" / f"{name}.conf").read_text())


def plugins(name: str, kind: str) -> list[tuple[str, logstash_config.Plugin]]:
    return [pair for one in sections(name) if one.kind == kind for pair in one.plugins()]


def nested(plugin: logstash_config.Plugin) -> Iterator[logstash_config.Plugin]:
    yield plugin
    for value in plugin.settings.values():
        if isinstance(value, logstash_config.Plugin):
            yield from nested(value)


PIPELINES: list[dict[str, Any]] = yaml.safe_load((FOLDER / "pipelines.yml").read_text())
NAMES = [pipeline["pipeline.id"] for pipeline in PIPELINES]
FILES = {"main": "main", "dead-letters": "dead-letters"}


@pytest.mark.parametrize("text", ["input {", "input { http { port = 1 } }", "filter { if { } }"])
def test_what_is_not_the_language_is_refused(text: str) -> None:
    with pytest.raises(pyparsing.ParseException):
        logstash_config.parse(text)


@pytest.mark.parametrize("name", FILES)
def test_every_setting_is_one_of_its_plugins(name: str) -> None:
    kinds = [section.kind for section in sections(name)]
    assert kinds == ["input", "filter", "output"]
    for kind in kinds:
        for _, outer in plugins(name, kind):
            for plugin in nested(outer):
                assert set(plugin.settings) <= set(KNOWN[plugin.name].split()), plugin.name


def test_every_setting_of_the_files_is_one_of_logstash() -> None:
    own = yaml.safe_load((FOLDER / "logstash.yml").read_text())
    used = {name for pipeline in [own, *PIPELINES] for name in pipeline}
    assert used <= set(SETTINGS.split())
    assert own["queue.type"] == "persisted"


def bytes_of(text: str) -> int:
    return int(text.removesuffix("mb")) * 2**20


def test_each_pipeline_has_its_file_and_a_queue_that_can_be_made() -> None:
    assert set(NAMES) == set(FILES)
    for pipeline in PIPELINES:
        path = Path(pipeline["path.config"])
        assert path.parent == IN_IMAGE / "pipeline"
        assert (FOLDER / "pipeline" / path.name).is_file()
        assert bytes_of(pipeline["queue.page_capacity"]) <= bytes_of(pipeline["queue.max_bytes"])
        # An event of the largest body must find room on a page.
        assert bytes_of(pipeline["queue.page_capacity"]) > 10_485_760
    assert {p["pipeline.id"] for p in PIPELINES if p["dead_letter_queue.enable"]} == {"main"}


def test_the_events_in_memory_at_once_fit_the_heaps() -> None:
    """Of Logstash, and of Elasticsearch, which takes a tenth of its heap as requests at once.

    elastic/elasticsearch 9.2, server/src/main/java/org/elasticsearch/index/IndexingPressure.java,
    `indexing_pressure.memory.limit`.
    """
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    options = services["logstash"]["environment"]["LS_JAVA_OPTS"]
    logstash, elasticsearch = (
        int(re.search(r"-Xmx(\d+)m", text)[1]) * 2**20  # type: ignore[index]
        for text in (options, services["elasticsearch"]["environment"]["ES_JAVA_OPTS"])
    )
    for pipeline in PIPELINES:
        # An event is held as an object, as JSON, and as part of the request.
        events = pipeline["pipeline.workers"] * pipeline["pipeline.batch.size"]
        held = events * Settings().collector.line_bytes
        assert 4 * held < logstash / 4
        assert held < elasticsearch / 10


def test_the_input_leaves_events_untouched_and_takes_what_the_collector_sends() -> None:
    ((_, http),) = plugins("main", "input")
    settings = http.settings
    assert settings["ecs_compatibility"] == "disabled"
    assert settings["additional_codecs"] == {}
    codec = settings["codec"]
    assert (codec.name, codec.settings["ecs_compatibility"]) == ("json_lines", "disabled")
    targets = {settings["remote_host_target_field"], settings["request_headers_target_field"]}
    assert len(targets) == 1
    assert targets.pop().startswith("[@metadata]")
    assert settings["user"] == Logstash().username
    assert BODY_BYTES < settings["max_content_length"] == codec.settings["decode_size_limit_bytes"]


def test_no_filter_writes_to_the_event_and_each_event_gets_an_id() -> None:
    ways: dict[str, str] = {}
    for name in FILES:
        for way, plugin in plugins(name, "filter"):
            settings = plugin.settings
            written = [
                *settings.get("add_field", {}),
                *settings.get("copy", {}).values(),
                *([settings["target"]] if "target" in settings else []),
            ]
            assert all(field.startswith("[@metadata]") for field in written)
            ways |= dict.fromkeys(written, way)
    assert set(ways) == {"[@metadata][reason]", "[@metadata][docid]"}
    script = (FOLDER / "pipeline" / "dead_letter.rb").read_text()
    assert 'letter.set("[@metadata][docid]", id)' in script
    assert 'letter.set("[@metadata][reason]"' in script, "else main.conf would not know it"


STREAM = {"type": "logs", "dataset": "tidegate.app", "namespace": "default"}


def routed(event: logstash_pipeline.Event) -> tuple[str, logstash_pipeline.Event]:
    """Where the pipeline `main` sends an event, and the metadata that it has then."""
    after, (output,) = logstash_pipeline.run(sections("main"), event)
    return output, after["@metadata"]


@pytest.mark.parametrize("name", ["x", "!" * 512, "flights-1.ndjson-17"])
def test_an_id_that_elasticsearch_takes_is_the_documents(name: str) -> None:
    output, metadata = routed({"event": {"id": name}, "data_stream": STREAM})
    assert (output, metadata) == ("events", {"docid": name})


@pytest.mark.parametrize(
    "about",
    ["text", {}, {"id": ""}, {"id": 7}, {"id": "x" * 513}, {"id": "a b"}, {"id": "č" * 257}],
)
def test_another_id_is_replaced_by_a_fingerprint(about: object) -> None:
    # One id of more than 512 bytes makes Elasticsearch refuse the whole bulk request.
    output, metadata = routed({"event": about, "data_stream": STREAM})
    assert output == "events"
    assert metadata["docid"].startswith("sha256:")


def test_only_what_could_not_be_read_is_a_dead_letter_for_its_tag() -> None:
    tags = ["_jsonparsefailure"]
    output, metadata = routed({"message": '{"half', "tags": tags})
    assert (output, metadata["reason"]) == (
        "dead_letters",
        "Logstash cannot read the line as a JSON object",
    )
    good = {"event": {"id": "x"}, "data_stream": STREAM, "message": "hello"}
    assert routed({**good, "tags": tags}) == ("events", {"docid": "x"})
    assert routed({**good, "data_stream": {**STREAM, "dataset": "other"}})[0] == "dead_letters"


REFUSED = {
    "dead_letter_queue": {
        "reason": "Could not index event to Elasticsearch. status: 400, "
        'action: ["create", {}, {"message"=>"in, response: out"}], response: {"create"=>{"status"=>400}}'
    }
}


def dead_letters(*events: logstash_pipeline.Event) -> list[logstash_pipeline.Event]:
    if shutil.which("ruby") is None:
        unavailable("there is no ruby: scripts/ruby install")
    return logstash_pipeline.dead_letters(FOLDER / "pipeline" / "dead_letter.rb", events)


def test_a_dead_letter_holds_the_whole_event_once_and_the_end_of_the_reason() -> None:
    tagged = {
        "message": "hello",
        "tags": ["_jsonparsefailure"],
        "data_stream": STREAM,
        "x": {"y": 1},
    }
    large = {"message": "m" * 2**20, "@metadata": {"reason": "r" * 10_000}}
    first, second, corrupt = dead_letters(
        {**tagged, "@metadata": REFUSED},
        large,
        {"message": "{half", "tags": ["_jsonparsefailure"], "@metadata": {"reason": "none"}},
    )
    held = json.loads(first["event"]["original"])
    assert tagged.items() <= held.items(), "a tag of the event's own costs none of its fields"
    assert first["error"]["message"] == 'response: {"create"=>{"status"=>400}}'
    assert first["message"] == f"not delivered: {first['error']['message']}"
    assert first["@metadata"]["reason"] == first["error"]["message"]
    assert second["error"]["message"] == "r" * 2000
    assert len(json.dumps(second)) < 2**20 + 10_000
    assert corrupt["event"]["original"] == "{half"


def test_a_dead_letter_has_one_id_whatever_the_order_of_the_events_fields() -> None:
    at = {"@timestamp": "2026-01-01T00:00:00Z"}
    long = {"event": {"id": "x" * 513, "kind": "k"}, **at, "list": [{"b": 1, "a": 2}]}
    turned = {name: long[name] for name in reversed(long)} | {"list": [{"a": 2, "b": 1}]}
    kept = {"event": {"id": "kept"}}
    odd = [{"event": {"id": name}, **at} for name in ("", "č" * 300, 5)]
    first, second, third, *others = dead_letters(long, turned, kept, *odd)
    assert first["event"]["id"] == second["event"]["id"]
    assert third["event"]["id"] == "kept"
    names = [one["event"]["id"] for one in (first, *others)]
    assert all(re.fullmatch(r"[0-9a-f]{64}", name) for name in names)
    assert len(set(names)) == len(names)
    assert all(one["@metadata"]["docid"] == one["event"]["id"] for one in (first, third, *others))


def test_what_the_writer_may_not_write_is_known_by_the_rules_of_the_stores() -> None:
    (way,) = (way for way, plugin in plugins("main", "filter") if "not in" in way)
    assert f"/\\A{fields._DATASET.pattern}\\z/" in way
    assert f"/\\A{fields._NAMESPACE.pattern}\\z/" in way
    assert '[data_stream][type] not in ["logs", "traces"]' in way


def test_every_output_creates_by_id_as_the_writer() -> None:
    outputs = [pair for name in FILES for pair in plugins(name, "output")]
    assert len(outputs) == 3
    for _, output in outputs:
        settings = output.settings
        assert settings["user"] in {role.name for role in ROLES if role.secret == "writer"}
        assert settings["document_id"] == "%{[@metadata][docid]}"
        assert (settings["data_stream"], settings["manage_template"]) == ("true", "false")
        assert settings["silence_errors_in_log"] == ["version_conflict_engine_exception"]


def test_dead_letters_go_to_a_stream_of_their_own_whatever_is_in_them() -> None:
    letters = [
        plugin.settings
        for name in FILES
        for _, plugin in plugins(name, "output")
        if plugin.settings["id"] == "dead_letters"
    ]
    assert len(letters) == 2
    assert letters[0] == letters[1]
    assert letters[0]["data_stream_auto_routing"] == "false"
    stream = f"logs-{letters[0]['data_stream_dataset']}-default"
    event = {
        "event": {"id": "x"},
        "data_stream": {
            "type": "logs",
            "dataset": letters[0]["data_stream_dataset"],
            "namespace": "default",
        },
    }
    assert fields.document_address(event).stream == stream
    script = (FOLDER / "pipeline" / "dead_letter.rb").read_text()
    assert f'"dataset" => "{letters[0]["data_stream_dataset"]}"' in script
    (alert,) = (one for one in alerts(Settings()) if one.name == "LogstashDeadLetters")
    assert 'output="dead_letters"' in alert.expression


def test_a_dead_letter_has_no_field_of_another_type_than_the_mapping() -> None:
    script = (FOLDER / "pipeline" / "dead_letter.rb").read_text()
    written = set(re.findall(r'^    "(\w+)" =>', script, re.MULTILINE))
    assert written == {"message", "log", "ecs", "event", "error", "service"}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "writer").write_text("of the writer\n")
    (tmp_path / "secrets" / "collector").write_text("of the collector\n")
    entry = tmp_path / "entry"
    entry.write_text('#!/bin/sh\necho "$*"\nenv\n')
    entry.chmod(0o755)
    return tmp_path


def start(place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [FOLDER / "start", *arguments],
        env={
            "PATH": "/usr/bin:/bin",
            "SECRETS": str(place / "secrets"),
            "DATA": str(place / "data"),
            "ENTRYPOINT": str(place / "entry"),
        },
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_starts_with_its_secrets_in_its_own_environment_only(place: Path) -> None:
    done = start(place, "--version")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "--version", "no secret among the arguments"
    assert "LOGSTASH_WRITER_PASSWORD=of the writer" in lines
    assert "LOGSTASH_COLLECTOR_PASSWORD=of the collector" in lines
    ((_, letters),) = plugins("dead-letters", "input")
    below = Path(letters.settings["path"]).relative_to(IN_IMAGE / "data")
    assert (place / "data" / below / letters.settings["pipeline_id"]).is_dir()


def test_the_variables_it_sets_are_those_that_the_pipelines_read() -> None:
    text = "".join((FOLDER / "pipeline" / f"{name}.conf").read_text() for name in FILES)
    needed = set(re.findall(r"\$\{(\w+)\}", text))
    assert needed == {"LOGSTASH_WRITER_PASSWORD", "LOGSTASH_COLLECTOR_PASSWORD"}
    script = (FOLDER / "start").read_text()
    assert all(f"{name}=$(secret " in script for name in needed)
    read = set(re.findall(r"\$\(secret (\w+)\)", script))
    assert read <= {secret.name for secret in SECRETS}


@pytest.mark.parametrize("name", ["writer", "collector"])
def test_a_secret_that_is_not_there_stops_the_start_with_a_sentence(place: Path, name: str) -> None:
    (place / "secrets" / name).write_text("")
    done = start(place)
    assert done.returncode == 2
    assert f"logstash: there is no secret {place}/secrets/{name}: " in done.stderr
    assert done.stdout == ""


def test_a_folder_that_cannot_be_written_stops_the_start_with_a_sentence(place: Path) -> None:
    (place / "data").write_text("a file")
    done = start(place)
    assert done.returncode == 2
    assert "cannot be written: does its volume belong to the user" in done.stderr
