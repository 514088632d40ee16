"""Which precision `auto` means, on this device and on others."""

from pathlib import Path

import pytest
import torch

from dsx.train import chosen_precision, precision


@pytest.mark.parametrize("device", ["cpu", "cuda", "meta"])
def test_what_is_said_is_done(device: str) -> None:
    assert chosen_precision("float32", device) == "float32"
    assert chosen_precision("bfloat16", torch.device(device)) == "bfloat16"


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("fpu avx512f avx512_bf16 sse", "bfloat16"),
        ("fpu amx_bf16 amx_tile", "bfloat16"),
        ("fpu avx2 avx512f", "float32"),
        ("not_avx512_bf16", "float32"),
        (None, "float32"),
    ],
)
def test_auto_asks_the_processor(
    flags: str | None, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    if flags is not None:
        cpuinfo.write_text(f"processor\t: 0\nflags\t\t: {flags}\n")
    monkeypatch.setattr(precision, "CPUINFO", cpuinfo)
    assert chosen_precision("auto") == expected
    assert chosen_precision("auto", "meta") == "float32"
