"""Logstash's configuration, checked without a Logstash.

Caught here: files that do not parse; settings, secrets and routes that differ from what the collector, the
stores and the alerts expect; filters that change events; queues that cannot be created; batches that exceed a
heap. Whether Logstash knows each plugin and setting is left to a real one: the workflow compose.yml starts
the stack at each change below observability/, and `tidegate verify` checks that both pipelines run.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from support import logstash_pipeline
from support.checkout import ROOT
from support.components import unavailable
from support.logstash_pipeline import FOLDER, IN_IMAGE, NAMES, SECTIONS, TEXTS
from tidegate.rules.alerts import alerts
from tidegate.settings import Settings
from tidegate.settings.event_pipeline import LOGSTASH_BYTES
from tidegate.store import fields

PIPELINES: list[dict[str, Any]] = yaml.safe_load((FOLDER / "pipelines.yml").read_text())
SERVICES: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
DEAD_LETTER_SCRIPT = (FOLDER / "pipeline" / "dead_letter.rb").read_text()


def plugins(kind: str) -> list[logstash_pipeline.Block]:
    """The plugins of all pipelines in their sections of this kind."""
    return [plugin for sections in SECTIONS.values() for plugin in sections[kind].plugins()]


def bytes_of(text: str) -> int:
    return int(text.removesuffix("mb")) * 2**20


def test_each_pipeline_has_its_file_and_a_valid_queue() -> None:
    assert {pipeline["pipeline.id"] for pipeline in PIPELINES} == set(NAMES)
    for pipeline in PIPELINES:
        path = Path(pipeline["path.config"])
        assert path == IN_IMAGE / "pipeline" / f"{pipeline['pipeline.id']}.conf"
        assert bytes_of(pipeline["queue.page_capacity"]) <= bytes_of(pipeline["queue.max_bytes"])
        # An event of the largest body must fit on a page.
        assert bytes_of(pipeline["queue.page_capacity"]) > 10_485_760
    (main, letters) = PIPELINES
    assert main["dead_letter_queue.enable"] is True
    assert bytes_of(main["dead_letter_queue.max_bytes"]) == 128 * 2**20
    assert letters["dead_letter_queue.enable"] is False
    assert letters["pipeline.ordered"] is False


def test_the_events_in_memory_at_once_fit_the_heaps() -> None:
    """Both the heap of Logstash and that of Elasticsearch, which accepts requests up to a tenth of its heap.

    elastic/elasticsearch 9.2, server/src/main/java/org/elasticsearch/index/IndexingPressure.java,
    `indexing_pressure.memory.limit`.
    """
    options = SERVICES["logstash"]["environment"]["LS_JAVA_OPTS"]
    logstash, elasticsearch = (
        int(re.search(r"-Xmx(\d+)m", text)[1]) * 2**20  # type: ignore[index]
        for text in (options, SERVICES["elasticsearch"]["environment"]["ES_JAVA_OPTS"])
    )
    for pipeline in PIPELINES:
        # An event is in memory as an object, as JSON, and as part of the request.
        events = pipeline["pipeline.workers"] * pipeline["pipeline.batch.size"]
        batch_bytes = events * Settings().collector.line_bytes
        assert 4 * batch_bytes < logstash / 4
        assert batch_bytes < elasticsearch / 10


def test_no_filter_writes_to_the_event_and_each_event_gets_an_id() -> None:
    targets: set[str] = set()
    for plugin in plugins("filter"):
        match plugin.head, plugin.settings:
            case "mutate", {"add_field": added, **rest} if not rest:
                targets |= set(added)
            case "mutate", {"remove_field": removed, **rest} if not rest:
                assert removed == ["[@metadata]"]
            case "mutate", {"copy": copied, **rest} if not rest:
                targets |= set(copied.values())
            case "fingerprint", {"target": target, **rest}:
                assert rest == {"method": "SHA256", "concatenate_all_fields": True}
                targets.add(target)
            case "ruby", settings:
                assert settings == {"path": str(IN_IMAGE / "pipeline" / "dead_letter.rb")}
            case other:
                pytest.fail(f"a filter that this test does not know: {other}")
    assert targets == {"[@metadata][reason]", "[@metadata][docid]"}
    assert 'letter.set("[@metadata][docid]", id)' in DEAD_LETTER_SCRIPT
    assert 'letter.set("[@metadata][reason]"' in DEAD_LETTER_SCRIPT, "main.conf routes by it"


STREAM = {"type": "logs", "dataset": "tidegate.app", "namespace": "default"}


def routed(event: logstash_pipeline.Event) -> tuple[str, logstash_pipeline.Event]:
    """The id of the output that the pipeline `main` sends an event to, and the event's metadata there."""
    after, (output,) = logstash_pipeline.run(SECTIONS["main"], event)
    return output, after["@metadata"]


@pytest.mark.parametrize("name", ["x", "!" * 512, "flights-1.ndjson-17"])
def test_an_event_id_that_elasticsearch_accepts_is_the_id_of_the_document(name: str) -> None:
    output, metadata = routed({"event": {"id": name}, "data_stream": STREAM})
    assert (output, metadata) == ("events", {"docid": name})


@pytest.mark.parametrize(
    "event_field",
    ["text", {}, {"id": ""}, {"id": 7}, {"id": "x" * 513}, {"id": "a b"}, {"id": "č" * 257}],
)
def test_any_other_event_id_is_replaced_by_a_fingerprint(event_field: object) -> None:
    # One id of more than 512 bytes makes Elasticsearch reject the whole bulk request.
    output, metadata = routed({"event": event_field, "data_stream": STREAM})
    assert output == "events"
    assert metadata["docid"].startswith("sha256:")


def test_the_tag_of_a_parse_failure_alone_makes_no_dead_letter() -> None:
    tags = ["_jsonparsefailure"]
    assert routed({"message": '{"half', "tags": tags})[0] == "dead_letters"
    good = {"event": {"id": "x"}, "data_stream": STREAM, "message": "hello"}
    assert routed({**good, "tags": tags}) == ("events", {"docid": "x"})
    assert routed({**good, "data_stream": {**STREAM, "dataset": "other"}})[0] == "dead_letters"


def test_metadata_that_a_client_sends_decides_nothing() -> None:
    """It could name the document's id and index (`_ingest_document`), or make an event a dead letter."""
    sent = {"reason": "mine", "docid": "mine", "_ingest_document": {"index": "elsewhere"}}
    event = {"event": {"id": "x"}, "data_stream": STREAM, "@metadata": sent}
    assert routed(event) == ("events", {"docid": "x"})


def test_an_event_and_a_request_are_bounded() -> None:
    # indexing_pressure.memory.limit is a tenth of the heap; an event of a fifth of it was refused for ever.
    options = SERVICES["elasticsearch"]["environment"]["ES_JAVA_OPTS"]
    heap = int(re.search(r"-Xmx(\d+)m", options)[1]) * 2**20  # type: ignore[index]
    (http,) = SECTIONS["main"]["input"].plugins()
    assert http.settings["max_content_length"] == 2**20 < heap / 10 / 5
    assert Settings().collector.line_bytes < LOGSTASH_BYTES < 2**20


REJECTED = {
    "dead_letter_queue": {
        "reason": "Could not index event to Elasticsearch. status: 400, "
        'action: ["create", {}, {"message"=>"in, response: out"}], response: {"create"=>{"status"=>400}}'
    }
}


def dead_letters(*events: logstash_pipeline.Event) -> list[logstash_pipeline.Event]:
    if shutil.which("ruby") is None:
        unavailable("there is no ruby: scripts/setup ruby")
    return logstash_pipeline.dead_letters(FOLDER / "pipeline" / "dead_letter.rb", events)


def test_a_dead_letter_has_the_whole_event_once_and_the_end_of_the_reason() -> None:
    tagged = {
        "message": "hello",
        "tags": ["_jsonparsefailure"],
        "data_stream": STREAM,
        "x": {"y": 1},
    }
    large = {"message": "m" * 2**20, "@metadata": {"reason": "r" * 10_000}}
    foreign = {"message": "hello", "tags": ["_jsonparsefailure"], "x": 1}
    first, second, corrupt, other = dead_letters(
        {**tagged, "@metadata": REJECTED},
        large,
        {"message": "{half", "tags": ["_jsonparsefailure"], "@metadata": {"reason": "none"}},
        {**foreign, "@metadata": {"reason": "it names no data stream"}},
    )
    original = json.loads(first["event"]["original"])
    assert tagged.items() <= original.items(), "an event with this tag keeps its fields"
    assert first["error"]["message"] == 'response: {"create"=>{"status"=>400}}'
    assert first["message"] == f"not delivered: {first['error']['message']}"
    assert first["@metadata"]["reason"] == first["error"]["message"]
    assert second["error"]["message"] == "r" * 2000
    assert len(json.dumps(second)) < 2**20 + 10_000
    assert corrupt["event"]["original"] == "{half"
    assert corrupt["error"]["message"] == "Logstash cannot read the line as a JSON object"
    assert foreign.items() <= json.loads(other["event"]["original"]).items()
    assert other["error"]["message"] == "it names no data stream"


def test_the_id_of_a_dead_letter_does_not_depend_on_the_order_of_fields() -> None:
    at = {"@timestamp": "2026-01-01T00:00:00Z"}
    long = {"event": {"id": "x" * 513, "kind": "k"}, **at, "list": [{"b": 1, "a": 2}]}
    reordered = {name: long[name] for name in reversed(long)} | {"list": [{"a": 2, "b": 1}]}
    valid = {"event": {"id": "valid"}}
    invalid = [{"event": {"id": name}, **at} for name in ("", "č" * 300, 5)]
    first, second, third, *others = dead_letters(long, reordered, valid, *invalid)
    assert first["event"]["id"] == second["event"]["id"]
    assert third["event"]["id"] == "valid"
    names = [one["event"]["id"] for one in (first, *others)]
    assert all(re.fullmatch(r"[0-9a-f]{64}", name) for name in names)
    assert len(set(names)) == len(names)
    assert all(one["@metadata"]["docid"] == one["event"]["id"] for one in (first, third, *others))


def test_the_route_of_an_event_follows_the_rules_for_names_of_data_streams() -> None:
    assert f"[data_stream][dataset] !~ /\\A{fields._DATASET.pattern}\\z/" in TEXTS["main"]
    assert f"[data_stream][namespace] !~ /\\A{fields._NAMESPACE.pattern}\\z/" in TEXTS["main"]
    assert '[data_stream][type] not in ["logs", "traces"]' in TEXTS["main"]


def test_dead_letters_have_their_own_stream_for_any_content() -> None:
    stream = {"type": "logs", "dataset": "tidegate.dead_letter", "namespace": "default"}
    address = fields.document_address({"event": {"id": "x"}, "data_stream": stream})
    assert address.stream == "logs-tidegate.dead_letter-default"
    assert '"dataset" => "tidegate.dead_letter"' in DEAD_LETTER_SCRIPT
    (alert,) = (one for one in alerts(Settings()) if one.name == "LogstashDeadLetters")
    assert 'output="dead_letters"' in alert.expression
