"""Predict every row of tumour.csv."""

import csv
import json
import urllib.request
from pathlib import Path

with Path("tumour.csv").open(newline="") as file:
    rows = list(csv.DictReader(file))
truth = [row.pop("target") for row in rows]
instances = [{name: float(value) for name, value in row.items()} for row in rows]
request = urllib.request.Request(
    "http://127.0.0.1:8000/predict",
    json.dumps({"instances": instances}).encode(),
    {"Content-Type": "application/json"},
)
with urllib.request.urlopen(request) as response:
    answer = json.load(response)
correct = sum(
    prediction["label"] == label for prediction, label in zip(answer["predictions"], truth)
)
print(f"{answer['model']['name']}: {correct} of {len(truth)} correct")
