"""The page of the model in a real browser, with a shadow, labels, and a model of an application."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from support.browser import DEADLINE_MS, failures_of
from support.checkout import ROOT
from support.eventually import eventually
from support.processes.running_stack import Stack, prepared, running
from support.samples.candidate_models import make_candidate
from tidegate.service.model.artefact import SAMPLES, load, read_manifest

pytestmark = pytest.mark.e2e
expect.set_options(timeout=DEADLINE_MS)
CONSOLE = {"enabled": True}
ROWS = 200


def post(stack: Stack, path: str, body: Any) -> Any:
    answer = stack.send(path, json.dumps(body).encode())
    assert answer.status < 300, answer
    return answer.body


def shows(page: Page, stack: Stack, *texts: str | re.Pattern[str]) -> None:
    """The page says each of these above its charts, and draws the accuracy, not the error of a regressor."""
    eventually(lambda: stack.query("model:accuracy_realised:5m"), "the labels are counted")
    failures = failures_of(page)
    page.goto(f"{stack.status()['console']}/model")
    for text in texts:
        expect(page.locator("[data-block=versions]")).to_contain_text(text)
    accuracy = page.locator("figure", has_text="Accuracy over 5m")
    expect(accuracy.locator(".u-legend")).to_contain_text(
        re.compile(r"measured by labels: \w+ [\w.]+ ?[\d.]+ %")
    )
    expect(page.locator("figure", has_text="Absolute error")).to_be_hidden()
    assert failures == []


def test_the_agreement_of_the_shadow_is_counted_stored_and_shown_and_what_labels_measure(
    tmp_path: Path, artefact: Path, page: Page
) -> None:
    shadow = make_candidate(load(artefact), tmp_path / "next").path
    model = {"path": str(artefact), "shadow_path": str(shadow), "shadow_share": 1.0}
    rows = [json.loads(line) for line in (artefact / SAMPLES).read_bytes().splitlines()[:ROWS]]
    with running(tmp_path, artefact, model=model, console=CONSOLE) as stack:
        eventually(lambda: stack.query("ml_shadow_predictions_total"), "the shadow is loaded")
        answered = post(stack, "/predict", {"instances": rows})["predictions"]

        def agreement() -> dict[str, float]:
            found = stack.query("sum by (agree) (ml_shadow_predictions_total)")
            counted = {one["metric"]["agree"]: float(one["value"][1]) for one in found}
            return counted if sum(counted.values()) == ROWS else {}

        counted = eventually(agreement, "all rows are counted")
        event, *_ = eventually(
            lambda: stack.search("tidegate.shadow.agreed:>=0", size=1).hits, "its event is stored"
        )
        said = event["tidegate"]["shadow"]
        assert said["agreed"] == counted["true"] > counted["false"]
        assert said["version"] == read_manifest(shadow).version
        labels = [{name: one[name] for name in ("prediction_id", "label")} for one in answered]
        assert post(stack, "/feedback", {"outcomes": labels})["accepted"] == ROWS
        agrees = re.compile(
            r"the shadow of flights [0-9a-f]{12}\s+It agrees with the model .* on \d+"
        )
        shows(page, stack, re.compile(r"few rows About 2\d\d rows"), agrees)


def test_it_shows_the_watched_model_of_an_application(
    tmp_path: Path, artefact: Path, page: Page
) -> None:
    folder = ROOT / "examples" / "own-app"
    service = {"app": "desk.main:app", "app_dir": str(folder)}
    console = {**CONSOLE, "control": True, "runs_dir": str(tmp_path / "runs")}
    verify = {"path": "/tickets", "body": json.dumps({"text": "where is my invoice"})}
    stack = prepared(tmp_path, artefact, service=service, console=console, verify=verify)
    # Nothing but the application names the service.
    stack.environment["TIDEGATE_CONFIG"] = str(tmp_path / "tidegate.toml")
    (tmp_path / "tidegate.toml").touch()
    with stack.up():
        for line in (folder / "tickets.ndjson").read_bytes().splitlines()[:20]:
            filed = post(stack, "/tickets", json.loads(line))
            post(stack, "/corrections", {name: filed[name] for name in ("prediction_id", "queue")})
        shows(
            page, stack, "Drift of triage 1.0.0", "channel", re.compile(r"few rows About 2\d rows")
        )
        page.goto(f"{stack.status()['console']}/load")
        expect(page).to_have_title("Load · desk · Tidegate")
        page.get_by_role("combobox", name="Scenario").select_option("seed")
        page.get_by_role("button", name="Start").click()
        filed_all = 'event.dataset:tidegate.request AND url.path:"/tickets"'
        eventually(lambda: stack.search(filed_all).total > 40, "more tickets are filed")
        page.get_by_role("button", name="Stop it").click()
        row = page.locator("[data-block=runs] tbody tr")
        expect(row.locator("td").nth(0)).to_have_text("seed")
        expect(row.locator("td").nth(3)).to_have_text("0")
