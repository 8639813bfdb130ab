"""Logstash's configuration, as far as it can be judged without a Logstash."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lscl
import pyparsing
import pytest
import yaml

from tidegate.collector.logstash import BODY_BYTES
from tidegate.provision.inventory import SECRETS
from tidegate.provision.roles import ROLES
from tidegate.render.alerts import alerts
from tidegate.settings import Logstash, Settings
from tidegate.store import fields

FOLDER = Path(__file__).parents[3] / "observability" / "logstash"
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
    "dead_letter_queue.max_bytes node.name path.config pipeline.ecs_compatibility pipeline.id "
    "pipeline.workers queue.max_bytes queue.page_capacity queue.type"
)


def sections(name: str) -> list[lscl.Section]:
    return lscl.parse((FOLDER / "pipeline" / f"{name}.conf").read_text())


def plugins(name: str, kind: str) -> list[tuple[str, lscl.Plugin]]:
    return [pair for one in sections(name) if one.kind == kind for pair in one.plugins()]


def nested(plugin: lscl.Plugin) -> Iterator[lscl.Plugin]:
    yield plugin
    for value in plugin.settings.values():
        if isinstance(value, lscl.Plugin):
            yield from nested(value)


PIPELINES: list[dict[str, Any]] = yaml.safe_load((FOLDER / "pipelines.yml").read_text())
NAMES = [pipeline["pipeline.id"] for pipeline in PIPELINES]
FILES = {"main": "main", "dead-letters": "dead-letters"}


@pytest.mark.parametrize("text", ["input {", "input { http { port = 1 } }", "filter { if { } }"])
def test_what_is_not_the_language_is_refused(text: str) -> None:
    with pytest.raises(pyparsing.ParseException):
        lscl.parse(text)


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
    assert fields.place(event).stream == stream
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
