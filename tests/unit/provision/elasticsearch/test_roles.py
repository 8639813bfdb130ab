"""The table of roles and its formats."""

from __future__ import annotations

import yaml
from typer.testing import CliRunner

from tidegate.cli import app
from tidegate.provision.elasticsearch.roles import ROLES


def test_the_command_prints_what_the_role_api_gets() -> None:
    printed = yaml.safe_load(CliRunner().invoke(app, ["setup", "roles-file"]).stdout)
    assert printed == {role.name: role.body() for role in ROLES}


def test_roles_are_limited_to_the_streams_and_only_the_writer_may_append() -> None:
    appending = {"create_doc", "create", "index", "write", "all", "auto_configure"}
    for role in ROLES:
        (indices,) = role.body()["indices"]
        assert indices["names"] == ["logs-tidegate.*-*", "traces-tidegate.*-*"]
        assert set(role.cluster) <= {"monitor"}
        assert bool(appending & set(role.streams)) == (role.name == "tidegate_writer")


def test_the_privilege_check_leaves_kibana_privileges_out() -> None:
    viewer = next(role for role in ROLES if role.name == "tidegate_viewer")
    assert "applications" in viewer.body()
    assert set(viewer.needs()) == {"cluster", "index"}
