"""The table of roles, and its forms."""

from __future__ import annotations

import pytest
import yaml

from tidegate.provision.commands import roles_file
from tidegate.provision.elasticsearch.roles import ROLES, roles_yaml


def test_the_roles_file_holds_what_the_role_api_is_sent() -> None:
    assert yaml.safe_load(roles_yaml()) == {role.name: role.body() for role in ROLES}


def test_the_command_prints_the_roles_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert roles_file() == 0
    assert capsys.readouterr().out == roles_yaml()


def test_no_role_may_touch_anything_but_our_streams_and_only_one_may_append() -> None:
    appending = {"create_doc", "create", "index", "write", "all", "auto_configure"}
    for role in ROLES:
        (indices,) = role.body()["indices"]
        assert indices["names"] == ["logs-tidegate.*-*", "traces-tidegate.*-*"]
        assert set(role.cluster) <= {"monitor"}
        assert bool(appending & set(role.streams)) == (role.name == "tidegate_writer")


def test_a_question_about_a_role_leaves_out_what_kibana_has_not_made_known_yet() -> None:
    viewer = next(role for role in ROLES if role.name == "tidegate_viewer")
    assert "applications" in viewer.body()
    assert set(viewer.needs()) == {"cluster", "index"}
