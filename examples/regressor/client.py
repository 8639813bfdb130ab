"""Predict every row of diabetes.csv, and send the true values as feedback."""

import csv
import json
import urllib.request
from pathlib import Path

SERVICE = "http://127.0.0.1:8000"


def post(path: str, body: object) -> dict:
    """The answer of the service."""
    request = urllib.request.Request(
        SERVICE + path, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request) as response:
        return json.load(response)


with Path("diabetes.csv").open(newline="") as file:
    rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
truth = [row.pop("target") for row in rows]
answer = post("/predict", {"instances": rows})
print(answer["model"], answer["predictions"][0])
outcomes = [
    {"prediction_id": prediction["prediction_id"], "label": value}
    for prediction, value in zip(answer["predictions"], truth)
]
print(post("/feedback", {"outcomes": outcomes}))
