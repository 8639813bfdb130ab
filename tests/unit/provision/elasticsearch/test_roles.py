"""The table of roles and its formats."""

from __future__ import annotations

import pytest
import yaml

from tidegate.provision.commands import roles_file
from tidegate.provision.elasticsearch.roles import ROLES, roles_yaml


def test_the_roles_file_has_the_content_of_the_role_api() -> None:
    assert yaml.safe_load(roles_yaml()) == {role.name: role.body() for role in ROLES}


def test_the_command_prints_the_roles_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert roles_file() == 0
    assert capsys.readouterr().out == roles_yaml()


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
