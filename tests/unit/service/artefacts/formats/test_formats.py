"""What is no model file of a known format is refused in one sentence with a way out."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidegate.service.artefacts.import_model import main


def test_a_file_of_no_format_is_refused_with_what_is_accepted_and_how_to_export(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "net.pt"
    file.write_bytes(b"PK\x03\x04")
    assert main([str(file), str(tmp_path / "out")]) == 1
    message = capsys.readouterr().err
    assert message.startswith(f"{file} cannot be served: a model file with the suffix `.pt`")
    for accepted in (".joblib", ".onnx", ".ubj", ".txt", "torch.onnx.export"):
        assert accepted in message
    assert message.count("\n") == 1


@pytest.mark.parametrize("suffix", [".joblib", ".onnx", ".txt", ".json", ".ubj"])
@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"hello", b"\x80\x04K\x01.", b"tree\n", b"tree\nversion=v4\n\nend of trees\n"),
        *(b"{", b"{L", b"{L\x00\x00", b'{"a": 1}', b"\x08\x01", b"\x00" * 100),
    ],
    ids=repr,
)
def test_damaged_and_wrongly_named_files_are_refused_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], suffix: str, content: bytes
) -> None:
    file = tmp_path / f"model{suffix}"
    file.write_bytes(content)
    assert main([str(file), str(tmp_path / "out")]) == 1
    message = capsys.readouterr().err
    assert message.startswith(f"{file} cannot be served: ")
    assert message.count("\n") == 1
    assert "Traceback" not in message
    assert list(tmp_path.iterdir()) == [file]


def test_a_folder_and_a_missing_file_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for file, reason in ((tmp_path, "is a folder"), (tmp_path / "none.onnx", "does not exist")):
        assert main([str(file), str(tmp_path / "out")]) == 1
        assert capsys.readouterr().err.startswith(f"{file} {reason}")
