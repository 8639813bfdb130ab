"""The Python classes of the messages in .proto files, by the compiler in grpcio-tools."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final

from grpc_tools import protoc

from tools.generate.checkout import ROOT

PROTO: Final = Path("tidegate/autoscaler/keda/externalscaler.proto")


def protobuf_files() -> dict[Path, str]:
    """Path and text of the module, and of its types, beside each .proto file.

    Raises:
        RuntimeError: the compiler refused; its reason is on stderr.
    """
    with tempfile.TemporaryDirectory() as folder:
        arguments = ["protoc", f"-I{ROOT}", f"--python_out={folder}", f"--pyi_out={folder}"]
        if protoc.main([*arguments, str(ROOT / PROTO)]) != 0:
            raise RuntimeError(f"{PROTO}: the protobuf compiler refuses it")
        names = (PROTO.with_name(f"{PROTO.stem}_pb2.{end}") for end in ("py", "pyi"))
        return {name: (Path(folder) / name).read_text(encoding="utf-8") for name in names}
