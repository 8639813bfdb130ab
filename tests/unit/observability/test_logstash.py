"""Logstash's configuration, checked without a Logstash.

Caught here: settings, secrets and routes that differ from what collector, stores and alerts expect;
filters that change events; queues that cannot be created; batches that exceed a heap. Whether Logstash
accepts the files is left to a real one: the workflow compose.yml starts the stack at each change below
observability/, and `tidegate verify` checks that both pipelines run.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.checkout import ROOT
from support.logstash_files import FOLDER, IN_IMAGE, SCRIPT, TEXTS, dead_letters
from tidegate.rules import pipeline_alerts
from tidegate.settings import Settings
from tidegate.settings.event_pipeline import LOGSTASH_BYTES
from tidegate.store import fields
from tidegate.store.own_fields import MAX_SIZE

PIPELINES: list[dict[str, Any]] = yaml.safe_load((FOLDER / "pipelines.yml").read_text())
SERVICES: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
MAIN = TEXTS["main"]
_, _, FILTERS = MAIN.partition("\nfilter {")
STREAM = {"type": "logs", "dataset": "tidegate.app", "namespace": "default"}


def bytes_of(text: str) -> int:
    return int(text.removesuffix("mb")) * 2**20


def heap(service: str, variable: str) -> int:
    found = re.search(r"-Xmx(\d+)m", SERVICES[service]["environment"][variable])
    assert found is not None
    return int(found[1]) * 2**20


def test_each_pipeline_has_its_file_and_a_valid_queue() -> None:
    assert {pipeline["pipeline.id"] for pipeline in PIPELINES} == set(TEXTS)
    assert set(pipeline_alerts.PIPELINES) == set(TEXTS), "an alert watches each"
    for pipeline in PIPELINES:
        path = Path(pipeline["path.config"])
        assert path == IN_IMAGE / "pipeline" / f"{pipeline['pipeline.id']}.conf"
        assert bytes_of(pipeline["queue.page_capacity"]) <= bytes_of(pipeline["queue.max_bytes"])
        # An event of the largest body must fit on a page.
        assert bytes_of(pipeline["queue.page_capacity"]) > 10_485_760
    main, letters = PIPELINES
    assert main["dead_letter_queue.enable"] is True, "what Elasticsearch rejects would be lost"
    assert letters["dead_letter_queue.enable"] is False, (
        "a rejected letter would come back for ever"
    )


def test_the_events_in_memory_at_once_fit_the_heaps() -> None:
    """Both the heap of Logstash and that of Elasticsearch, which accepts requests up to a tenth of its heap.

    elastic/elasticsearch 9.2, server/src/main/java/org/elasticsearch/index/IndexingPressure.java,
    `indexing_pressure.memory.limit`.
    """
    logstash, elasticsearch = (
        heap("logstash", "LS_JAVA_OPTS"),
        heap("elasticsearch", "ES_JAVA_OPTS"),
    )
    # The largest event that any client can send.
    largest = int(re.findall(r"max_content_length => (\d+)\n", MAIN)[0])
    assert f"decode_size_limit_bytes => {largest}\n" in MAIN
    for pipeline in PIPELINES:
        # An event is in memory as an object, as JSON, and as part of the request.
        events = pipeline["pipeline.workers"] * pipeline["pipeline.batch.size"]
        assert 4 * events * largest < logstash / 4
        assert events * largest < elasticsearch / 10
    # An event of a fifth of what Elasticsearch accepts was refused for ever.
    assert largest < elasticsearch / 10 / 5
    assert Settings().collector.line_bytes < LOGSTASH_BYTES < largest - MAX_SIZE


def test_filters_write_to_the_metadata_only_and_first_remove_what_a_client_sent_as_such() -> None:
    """Its metadata could name the document's id and index, or make an event a dead letter."""
    assert FILTERS.lstrip().startswith('mutate { remove_field => ["[@metadata]"] }')
    added = re.findall(r'add_field => \{ "([^"]+)" =>', FILTERS)
    copied = re.findall(r'copy => \{ "[^"]+" => "([^"]+)" \}', FILTERS)
    targets = [*added, *copied, *re.findall(r'target => "([^"]+)"', FILTERS)]
    assert targets == ["[@metadata][reason]", *["[@metadata][docid]"] * 2]
    (fingerprint,) = re.findall(r"fingerprint \{([^}]*)\}", FILTERS)
    assert 'method => "SHA256"' in fingerprint
    assert "concatenate_all_fields => true" in fingerprint, "different events would have one id"
    script = SCRIPT.read_text()
    assert 'letter.set("[@metadata][docid]", id)' in script
    assert 'letter.set("[@metadata][reason]"' in script, "main.conf routes by it"


@pytest.mark.parametrize(
    ("name", "accepted"),
    [
        *((name, True) for name in ("x", "!" * 512, "flights-1.ndjson-17")),
        *((name, False) for name in ("", "x" * 513, "a b", "č" * 257)),
    ],
)
def test_only_an_id_that_elasticsearch_accepts_is_the_id_of_the_document(
    name: str, accepted: bool
) -> None:
    # One id of more than 512 bytes makes Elasticsearch reject the whole bulk request.
    (pattern,) = re.findall(r"\[event\]\[id\] =~ /\\A(.+)\\z/", MAIN)
    assert bool(re.fullmatch(pattern, name)) is accepted


REJECTED = {
    "dead_letter_queue": {
        "reason": "Could not index event to Elasticsearch. status: 400, "
        'action: ["create", {}, {"message"=>"in, response: out"}], response: {"create"=>{"status"=>400}}'
    }
}


def test_a_dead_letter_has_the_whole_event_once_and_the_end_of_the_reason() -> None:
    foreign = {"message": "hello", "tags": ["_jsonparsefailure"], "x": {"y": 1}}
    tagged = {**foreign, "data_stream": STREAM}
    large = {"message": "m" * 2**20, "@metadata": {"reason": "r" * 10_000}}
    first, second, corrupt, other = dead_letters(
        {**tagged, "@metadata": REJECTED},
        large,
        {"message": "{half", "tags": ["_jsonparsefailure"], "@metadata": {"reason": "none"}},
        {
            **foreign,
            "service": {"name": "shop"},
            "@metadata": {"reason": "it names no data stream"},
        },
    )
    original = json.loads(first["event"]["original"])
    assert tagged.items() <= original.items(), "an event with this tag keeps its fields"
    assert first["error"]["message"] == 'response: {"create"=>{"status"=>400}}'
    assert first["message"] == f"not delivered: {first['error']['message']}"
    assert first["@metadata"]["reason"] == first["error"]["message"]
    assert second["error"]["message"] == "r" * 2000
    assert len(json.dumps(second)) < 2**20 + 10_000
    assert corrupt["event"]["original"] == "{half"
    services = [one["service"]["name"] for one in (first, corrupt, other)]
    assert services == ["flights", "flights", "shop"]
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
    assert f"[data_stream][dataset] !~ /\\A{fields._DATASET.pattern}\\z/" in MAIN
    assert f"[data_stream][namespace] !~ /\\A{fields._NAMESPACE.pattern}\\z/" in MAIN
    assert '[data_stream][type] not in ["logs", "traces"]' in MAIN
