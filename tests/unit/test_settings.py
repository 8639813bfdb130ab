"""Settings: precedence of their sources, and error messages."""

import os
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tidegate.settings import (
    Replicas,
    Settings,
    SettingsError,
    error_messages,
    load,
    setting_descriptions,
    setting_names,
)
from tidegate.settings.valid_part import load_valid
from tidegate.store.query import time_ranges

NOBODY = 65_534


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TIDEGATE_CONFIG", raising=False)


def test_without_a_file_each_setting_has_its_default() -> None:
    assert load() == Settings.model_construct()


def test_a_file_overrides_the_default_the_environment_the_file_and_an_argument_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tidegate.toml").write_text(
        "[slo]\nlatency_seconds = 0.25\nlatency_quantile = 0.9\n"
    )
    assert load().slo.latency_seconds == 0.25
    monkeypatch.setenv("TIDEGATE_SLO__LATENCY_SECONDS", "0.125")
    for slo, seconds in ((load().slo, 0.125), (load(slo={"latency_seconds": 0.5}).slo, 0.5)):
        assert (slo.latency_seconds, slo.latency_quantile) == (seconds, 0.9)


def test_a_named_file_is_read_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other.toml").write_text('[service]\nname = "wine"\n')
    monkeypatch.setenv("TIDEGATE_CONFIG", str(tmp_path / "other.toml"))
    assert load().service.name == "wine"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[slo]\nlatency = 1\n", "tidegate.toml: slo.latency: unknown setting; did you mean"),
        ("[slow]\n", "tidegate.toml: slow: unknown setting; did you mean slo?"),
        ("[slo]\nlatency_seconds = -1\n", "slo.latency_seconds: must be at least 0.001 (got -1)"),
        ("[slo]\nlatency_seconds = nan\n", "slo.latency_seconds: must be a finite number"),
        ("[slo]\nlatency_seconds = inf\n", "slo.latency_seconds: must be a finite number"),
        ("[collector]\npoll_seconds = 1e9\n", "collector.poll_seconds: must be at most 31622400 (got"),
        ("[store.embedded]\nretention = '999999d'\n", "tidegate.toml: store.embedded.retention: must be"),
        ("[store.elasticsearch]\nretention = '0d'\n", "store.elasticsearch.retention: must be 1 to"),
        ("[prometheus]\nretention = '999y'\n", "prometheus.retention: must be a duration such as"),
        ("[prometheus]\nretention = '0d'\n", "prometheus.retention: must be a duration such as"),
        ("[replicas]\nmin = 3\nstart = 2\n", "replicas: expected min ≤ start ≤ max, got min = 3"),
        ("[slots]\nmax = 1\n", "slots: expected per_replica ≤ max, got per_replica = 2 (default), max ="),
        ("[drift]\nerror_rise_warning = 0.5\n", "drift: expected error_rise_warning <"),
        ("[store]\nkind = 'mongo'\n", "store.kind: must be 'embedded' or 'elasticsearch'"),
        ("[store.elasticsearch]\nurl = 'x'\n", "store.elasticsearch.url: must be a URL such as http://"),
        ("[service]\nname = 'Ö'\n", "service.name: must be at most 63 lower-case letters, digits and"),
        ("[slo\n", "tidegate.toml: "),
        ("slo = 3\n", "tidegate.toml: slo: must be a table of settings, not a value"),
        ("[autoscaler]\nenabled = 'maybe'\n", "autoscaler.enabled: must be true or false"),
        ("[service]\nname = 3\n", "service.name: must be text in quotes"),
        ("[gateway]\nport = 70000\n", "gateway.port: must be at most 65535 (got 70000)"),
        ("[service]\napp = 'shop'\n", "service.app: must be empty or MODULE:NAME such as"),
        ("[service]\napp = 'shop:app()'\n", "service.app: must be empty or MODULE:NAME such as"),
        ("[replicas]\ncommand = 'gunicorn'\n", "tidegate.toml: replicas.command: must be a list (got"),
        ("[replicas]\ncommand = ['gunicorn', '-b', '{address}']\n", "unknown placeholder {address}; expec"),
        ("[replicas]\ncommand = ['./server', '--port', '8100']\n", "replicas.command: must contain {port}"),
        (
            "[replicas]\ncommand = ['./server', '{port}', '{\"a\": 1']\n",
            "has a single brace: write {{ for {, and }} for }",
        ),
        ("[replicas]\ncommand = ['./server', '{port:05}']\n", "'{port:05}': a placeholder has no format"),
        ("[replicas]\ncommand = [' ', '{port}']\n", "replicas.command: must begin with the name or path"),
        (
            "[service]\napp = 'shop.main:app'\n[replicas]\ncommand = ['gunicorn', '{port}']\n",
            "service.app is 'shop.main:app' and replicas.command is 'gunicorn': replicas run one of them",
        ),
        (
            "[slots]\nmax = 4\n[replicas]\ncommand = ['gunicorn', '{port}']\n",
            "slots.max: the slots of replicas.command cannot be changed while it runs; remove slots.max",
        ),
        ("[resizer]\nbackend = 'kubernetes'\n", "resizer.deployment: is empty, but resizer.backend is"),
        ("[autoscaler]\nscaler = 'keda'\n", "resizer.deployment: is empty, but autoscaler.scaler is"),
        ("[resizer]\ndeployment = 'Model'\n", "resizer.deployment: must be the name of a Deployment: at"),
        ("[resizer]\nkubernetes_namespace = 'a.b'\n", "resizer.kubernetes_namespace: must be empty or a"),
        ("[replicas]\nmax = 251\n", "replicas.max: must be at most 250 (got 251)"),
        ("[service]\nready = 'shop.main:is_ready'\n", "service.ready: is for service.app, which is empty"),
    ],
)  # fmt: skip
def test_an_invalid_file_is_an_error_with_the_setting_and_the_reason(
    tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "tidegate.toml").write_text(text)
    with pytest.raises(SettingsError) as error:
        load()
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("TIDEGATE_SLO__LATENCY", "1", "TIDEGATE_SLO__LATENCY: unknown setting; did you mean"),
        ("TIDEGATE_SLOTH", "1", "TIDEGATE_SLOTH: unknown setting"),
        ("tidegate_stack__data_dri", "/x", "stack.data_dri: unknown setting; did you mean stack.data_dir?"),
        ("TIDEGATE_SLOTS__PER_REPLICA", "many", "TIDEGATE_SLOTS__PER_REPLICA: slots.per_replica: must be"),
        ("TIDEGATE_REPLICAS__MIN", "8", "replicas: expected min ≤ start ≤ max, got min = 8"),
        ("TIDEGATE_REPLICAS_MIN", "8", "did you mean TIDEGATE_REPLICAS__MIN?"),
        ("TIDEGATE_TELEMETRY__QUIET_PATHS", "/live", "TIDEGATE_TELEMETRY__QUIET_PATHS: must be a list in"),
        ("TIDEGATE_GATEWAY__UNLIMITED_SOURCES", '["x/8"]', "SOURCES: gateway.unlimited_sources.0: must"),
        ("TIDEGATE_STORE", "x", "TIDEGATE_STORE: must be a table in JSON, such as"),
        ("TIDEGATE_STORE", '{"kind": "x"}', "TIDEGATE_STORE: store.kind: must be 'embedded' or"),
        ("TIDEGATE_CONFIG", "nowhere.toml", "TIDEGATE_CONFIG: nowhere.toml does not exist"),
    ],
)  # fmt: skip
def test_an_invalid_variable_is_an_error_with_its_name(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, message: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as error:
        load()
    assert message in str(error.value)


def test_an_unreadable_settings_file_is_an_error_with_its_name(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "tidegate.toml").touch(0o000)
    user = os.geteuid()
    if user == 0:  # permissions do not apply to root
        os.seteuid(NOBODY)
    try:
        with pytest.raises(SettingsError, match=r"tidegate\.toml: permission denied for this user"):
            load()
    finally:
        os.seteuid(user)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("TIDEGATE_FOO", ""),
        ("TIDEGATE_SLO__LATENCY", "; did you mean TIDEGATE_SLO__LATENCY_SECONDS?"),
        ("TIDEGATE_DATA_DIR", "; did you mean TIDEGATE_STACK__DATA_DIR?"),
        ("TIDEGATE_MODEL__LATENCY_QUANTILE", "; did you mean TIDEGATE_SLO__LATENCY_QUANTILE?"),
        ("TIDEGATE_GATEWAY__TIMEOUT", "; did you mean TIDEGATE_GATEWAY__RESPONSE_SECONDS?"),
        ("TIDEGATE_MODEL__FILE", "; did you mean TIDEGATE_MODEL__PATH?"),
        ("TIDEGATE_MAX_REPLICAS", "; did you mean TIDEGATE_REPLICAS__MAX?"),
        ("TIDEGATE_STACK__DIR", "; did you mean TIDEGATE_STACK__DATA_DIR?"),
        ("TIDEGATE_SEVICE__NMAE", "; did you mean TIDEGATE_SERVICE__NAME?"),
        ("TIDEGATE_CONSOLE__USER", ""),
        ("TIDEGATE_LOG_LEVEL", ""),
    ],
)
def test_a_setting_is_suggested_for_what_is_meant(
    monkeypatch: pytest.MonkeyPatch, name: str, meant: str
) -> None:
    monkeypatch.setenv(name, "1")
    with pytest.raises(SettingsError) as error:
        load()
    assert str(error.value) == f"{name}: unknown setting{meant}"


def test_a_pipe_with_the_name_of_the_settings_file_is_an_error(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "tidegate.toml")
    with pytest.raises(SettingsError, match=r"tidegate\.toml is a pipe, a socket or a device"):
        load()


def test_the_null_device_is_an_empty_settings_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEGATE_CONFIG", os.devnull)
    assert load() == Settings.model_construct()


def test_a_byte_order_mark_is_no_part_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "tidegate.toml").write_bytes(b'\xef\xbb\xbf[service]\r\nname = "wine"\r\n')
    assert load().service.name == "wine"


def test_a_file_that_is_nested_too_deeply_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "tidegate.toml").write_text(f"x = {'[' * 3000}{']' * 3000}\n")
    with pytest.raises(SettingsError, match=r"tidegate\.toml: lists or tables are nested too"):
        load()


def test_a_variable_that_is_nested_too_deeply_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEGATE_TELEMETRY__QUIET_PATHS", f"{'[' * 3000}{']' * 3000}")
    with pytest.raises(
        SettingsError, match="TIDEGATE_TELEMETRY__QUIET_PATHS: must be a list in JSON"
    ):
        load()


@pytest.mark.parametrize("section", ["", "[slo]\n"])
def test_of_many_unknown_names_twenty_are_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, section: str
) -> None:
    looked_up: list[str] = []

    def unknown(name: str, _: object) -> str:
        looked_up.append(name)
        return "?"

    monkeypatch.setattr(error_messages, "unknown", unknown)
    names = "".join(f"name{number} = 1\n" for number in range(3000))
    (tmp_path / "tidegate.toml").write_text(section + names)
    with pytest.raises(SettingsError) as error:
        load()
    assert str(error.value).splitlines()[19:] == [
        f"tidegate.toml: {'slo.' if section else ''}name19: ?",
        "and 2,980 more",
    ]
    assert len(looked_up) == 20
    with pytest.raises(SettingsError) if not section else nullcontext():
        load_valid()


def test_a_folder_with_the_name_of_the_settings_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "tidegate.toml").mkdir()
    with pytest.raises(SettingsError, match=r"tidegate\.toml is a folder, not a file"):
        load()


def test_all_invalid_settings_are_reported_at_once(tmp_path: Path) -> None:
    (tmp_path / "tidegate.toml").write_text("[slots]\nper_replica = 0\nwait_length = -1\n")
    with pytest.raises(SettingsError) as error:
        load()
    assert len(str(error.value).splitlines()) == 2


@pytest.mark.parametrize("value", [1e30, float("inf"), float("nan"), -1e30])
def test_each_number_has_bounds(value: float) -> None:
    """What no timer, no date and no memory can have is refused when it is read."""
    unbounded = []
    for name, default in setting_names().items():
        if not isinstance(default, int | float) or isinstance(default, bool):
            continue
        *sections, last = name.split(".")
        section: dict[str, object] = {last: value}
        for parent in reversed(sections[1:]):
            section = {parent: section}
        try:
            load(**{sections[0]: section})
        except SettingsError:
            continue
        unbounded.append(name)
    assert unbounded == []


@pytest.mark.parametrize("retention", ["1h", "99999d", "99999h"])
def test_each_retention_that_is_accepted_is_a_time(retention: str) -> None:
    load(collector={"keep_seconds": 2 * 366 * 86_400})  # years, too
    load(store={"embedded": {"retention": retention}})
    assert datetime.now(UTC) - time_ranges.age(retention) < datetime.now(UTC)


def test_each_setting_has_a_description() -> None:
    assert [name for name, meaning in setting_descriptions().items() if not meaning] == []


def test_the_slow_threshold_is_the_objective_by_default() -> None:
    assert load(slo={"latency_seconds": 0.3}).slow_seconds == 0.3
    assert load(telemetry={"slow_seconds": 0.1}).slow_seconds == 0.1


def test_the_valid_part_of_invalid_settings_finds_the_stack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tidegate.toml").write_text(
        '[stack]\ndata_dir = "here"\n[gateway]\nport = 8123\n[slo]\nlatency = 1\n[no_such]\nkey = 1\n'
    )
    monkeypatch.setenv("TIDEGATE_REPLICAS__MAX", "many")
    monkeypatch.setenv("TIDEGATE_STORE__EMBEDDED__RETENTION", "3d")
    with pytest.raises(SettingsError):
        load()
    found = load_valid()
    assert (found.stack.data_dir, found.gateway.port) == (Path("here"), 8123)
    assert (found.replicas, found.store.embedded.retention) == (Replicas(), "3d")
    monkeypatch.setenv("TIDEGATE_STACK", '{"data_dir": "there"}')
    assert load_valid().stack.data_dir == Path("there")
    monkeypatch.setenv("TIDEGATE_STACK__DATA_DIR", "elsewhere")
    assert load_valid().stack.data_dir == Path("elsewhere")


@pytest.mark.parametrize(
    ("text", "variables"),
    [
        ('[stack]\ndatadir = "prod"\n', {}),
        ('[stak]\ndata_dir = "prod"\n', {}),
        ('data_dir = "prod"\n', {}),
        ("[stack\n", {}),
        ("stack = 5\n", {}),
        ("", {"TIDEGATE_CONFIG": "missing.toml"}),
        ("", {"TIDEGATE_STACK": "prod"}),
        ("", {"TIDEGATE_STACK__DATADIR": "prod"}),
        ("", {"TIDEGATE_STACK_DATA_DIR": "prod"}),
        ("", {"TIDEGATE_DATA_DIR": "prod"}),
    ],
)
def test_invalid_settings_that_may_be_about_another_data_folder_have_no_valid_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, variables: dict[str, str]
) -> None:
    (tmp_path / "tidegate.toml").write_text(text)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError):
        load()
    with pytest.raises(SettingsError):
        load_valid()


def test_the_replicas_at_the_start_follow_the_minimum_unless_they_are_set() -> None:
    assert load(replicas={"min": 3}).replicas.start == 3
    assert load(replicas={"min": 0}).replicas.start == 1
    assert load(replicas={"min": 2, "start": 4}).replicas.start == 4
