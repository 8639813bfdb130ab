"""Take the model of magika, which tells the type of a file by its bytes, as the package ships it."""

import json
import shutil
from pathlib import Path

import magika

(model,) = Path(magika.__file__).parent.glob("models/*/model.onnx")
shutil.copy(model, "filetype.onnx")
config = json.loads(model.with_name("config.min.json").read_text())
classes = ", ".join(f'"{name}"' for name in config["target_labels_space"])
Path("filetype.toml").write_text(f"classes = [{classes}]\n")  # the graph does not hold their names
