"""Programs of a stack read the settings that the stack was started with."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tidegate.settings import Settings, SettingsError, load
from tidegate.stack.processes.environment import environment, settings_from, with_absolute_paths


def read_in(env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Settings:
    with monkeypatch.context() as patch:
        for name in list(os.environ):
            if name.startswith("TIDEGATE_"):
                patch.delenv(name)
        for name, value in env.items():
            patch.setenv(name, value)
        return load()


text = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
SECTIONS = st.fixed_dictionaries(
    {},
    optional={
        "slo": st.fixed_dictionaries({"latency_seconds": st.floats(1e-3, 1e6)}),
        "device": st.fixed_dictionaries({"simulated": st.booleans()}),
        "telemetry": st.fixed_dictionaries(
            {"slow_seconds": st.none() | st.floats(0.1, 9), "quiet_paths": st.lists(text)}
        ),
        "store": st.fixed_dictionaries(
            {
                "kind": st.sampled_from(["embedded", "elasticsearch"]),
                "elasticsearch": st.fixed_dictionaries(
                    {"username": text, "password_file": st.none() | st.just(Path("secret"))}
                ),
            }
        ),
        "replicas": st.fixed_dictionaries({"max": st.integers(1, 64)}),
    },
)


@hypothesis_settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(sections=SECTIONS)
def test_programs_read_the_settings_of_the_stack(
    sections: dict[str, dict[str, object]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given_settings = with_absolute_paths(load(**sections), tmp_path)
    env = environment(given_settings, {}, tmp_path / "settings.toml")
    assert read_in(env, monkeypatch) == given_settings
    # So do commands that read them from a program's environment, whatever their own sources say.
    monkeypatch.setenv("TIDEGATE_SLO__LATENCY_SECONDS", "9")
    assert settings_from(env).model_dump() == given_settings.model_dump()


def test_settings_of_another_version_are_not_accepted() -> None:
    with pytest.raises(SettingsError, match="old_name"):
        settings_from({"TIDEGATE_SLO__OLD_NAME": "1", "TIDEGATE_GATEWAY__PORT": "8123"})


def test_later_changes_of_the_settings_file_have_no_effect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tidegate.toml").write_text("[slo]\nlatency_seconds = 0.25\n")
    monkeypatch.setenv("TIDEGATE_CONFIG", "tidegate.toml")
    settings = load()
    env = environment(settings, os.environ, tmp_path / "run.toml")
    (tmp_path / "tidegate.toml").write_text("[slo]\nlatency_seconds = 'soon'\n")
    assert read_in(env, monkeypatch).slo.latency_seconds == 0.25


def test_other_environment_variables_are_inherited(tmp_path: Path) -> None:
    base = {
        "PATH": "/bin",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://x",
        "TIDEGATE_REQUIRE_ALL": "1",
        "TIDEGATE_NIGHTLY": "1",
        "TIDEGATE_SLO__LATENCY_SECONDS": "9",
    }
    env = environment(load(slo={"latency_seconds": 0.5}), base, tmp_path / "run.toml")
    assert {name: env[name] for name in base} == {**base, "TIDEGATE_SLO__LATENCY_SECONDS": "0.5"}


def test_paths_in_all_sections_become_absolute(tmp_path: Path) -> None:
    settings = with_absolute_paths(
        load(
            model={"path": "m"},
            stack={"data_dir": "/d"},
            store={"elasticsearch": {"password_file": "p"}},
        ),
        tmp_path,
    )
    assert settings.model.path == tmp_path / "m"
    assert settings.stack.data_dir == Path("/d")
    assert settings.store.elasticsearch.password_file == tmp_path / "p"
    assert settings.store.elasticsearch.ca_file is None
