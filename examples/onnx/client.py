"""Ask for the type of each file in this folder."""

import json
import urllib.request
from pathlib import Path

LENGTH, PADDING = 1024, 256


def tokens(content: bytes) -> list[int]:
    """The first and the last bytes of a file, as the model takes them."""
    first = list(content.lstrip()[:LENGTH])
    last = list(content.rstrip()[-LENGTH:])
    return first + [PADDING] * (LENGTH - len(first)) + [PADDING] * (LENGTH - len(last)) + last


files = [path for path in sorted(Path().iterdir()) if path.suffix in {".py", ".md", ".toml"}]
request = urllib.request.Request(
    "http://127.0.0.1:8000/predict",
    json.dumps({"instances": [{"bytes": tokens(path.read_bytes())} for path in files]}).encode(),
    {"Content-Type": "application/json"},
)
with urllib.request.urlopen(request) as response:
    predictions = json.load(response)["predictions"]
for path, prediction in zip(files, predictions):
    print(f"{path.name}: {prediction['label']} ({prediction['probability']:.2f})")
