"""Settings: where they come from, and what a person is told when one is wrong."""

from pathlib import Path

import pytest

from tidegate.settings import Settings, SettingsError, load, setting_names


@pytest.fixture(autouse=True)
def _empty_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TIDEGATE_CONFIG", raising=False)


def test_without_a_file_everything_has_its_default() -> None:
    assert load() == Settings.model_construct()


def test_the_file_wins_over_the_default(tmp_path: Path) -> None:
    (tmp_path / "tidegate.toml").write_text("[slo]\nlatency_seconds = 0.25\n")
    assert load().slo.latency_seconds == 0.25


def test_the_environment_wins_over_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tidegate.toml").write_text(
        "[slo]\nlatency_seconds = 0.25\nlatency_quantile = 0.9\n"
    )
    monkeypatch.setenv("TIDEGATE_SLO__LATENCY_SECONDS", "0.125")
    slo = load().slo
    assert (slo.latency_seconds, slo.latency_quantile) == (0.125, 0.9)


def test_an_argument_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEGATE_STACK__HOST", "127.0.0.2")
    assert load(stack={"host": "127.0.0.3"}).stack.host == "127.0.0.3"


def test_a_named_file_is_read_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other.toml").write_text('[service]\nname = "wine"\n')
    monkeypatch.setenv("TIDEGATE_CONFIG", str(tmp_path / "other.toml"))
    assert load().service.name == "wine"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[slo]\nlatency = 1\n", "tidegate.toml: slo.latency: there is no such setting"),
        ("[slow]\n", "tidegate.toml: slow: there is no such setting"),
        ("[slo]\nlatency_seconds = -1\n", "slo.latency_seconds: Input should be greater than 0"),
        ("[slo]\nlatency_seconds = nan\n", "slo.latency_seconds: Input should be"),
        ("[replicas]\nmin = 3\n", "replicas: Value error, needs min ≤ start ≤ max, got 3, 1, 6"),
        ("[slots]\nmax = 1\n", "slots: Value error, needs per_replica ≤ max, got 2, 1"),
        ("[store]\nkind = 'mongo'\n", "store.kind: Input should be 'embedded' or 'elasticsearch'"),
        ("[store.elasticsearch]\nurl = 'x'\n", "store.elasticsearch.url: String should match"),
        ("[service]\nname = 'Ö'\n", "service.name: String should match pattern"),
        ("[slo\n", "tidegate.toml: "),
        ("[gateway]\nport = 70000\n", "gateway.port: Input should be less than or equal to 65535"),
    ],
)
def test_a_bad_file_stops_with_the_settings_name_and_the_reason(
    tmp_path: Path, text: str, told: str
) -> None:
    (tmp_path / "tidegate.toml").write_text(text)
    with pytest.raises(SettingsError) as error:
        load()
    assert told in str(error.value)


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("TIDEGATE_SLO__LATENCY", "1", "TIDEGATE_SLO__LATENCY: there is no such setting"),
        ("TIDEGATE_SLOTH", "1", "TIDEGATE_SLOTH: there is no such setting"),
        (
            "TIDEGATE_SLOTS__PER_REPLICA",
            "many",
            "TIDEGATE_SLOTS__PER_REPLICA: slots.per_replica: Input should be a valid integer",
        ),
        ("TIDEGATE_CONFIG", "nowhere.toml", "TIDEGATE_CONFIG: there is no file nowhere.toml"),
    ],
)
def test_a_bad_variable_stops_with_its_name(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, told: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as error:
        load()
    assert told in str(error.value)


def test_every_bad_setting_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "tidegate.toml").write_text("[slots]\nper_replica = 0\nwait_length = -1\n")
    with pytest.raises(SettingsError) as error:
        load()
    assert len(str(error.value).splitlines()) == 2


def test_every_setting_says_what_it_means() -> None:
    assert [name for name, (_, meaning) in setting_names().items() if not meaning] == []


def test_a_request_is_slow_from_the_objective_unless_told_otherwise() -> None:
    assert load(slo={"latency_seconds": 0.3}).slow_seconds == 0.3
    assert load(telemetry={"slow_seconds": 0.1}).slow_seconds == 0.1
