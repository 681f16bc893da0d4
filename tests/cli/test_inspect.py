"""`quantattack inspect` says what is really quantized."""

import pytest

from quantattack.cli import main


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as end:
        main(["inspect", *arguments])
    out, err = capsys.readouterr()
    return int(end.value.code or 0), out, err


def test_a_binarized_network_is_binary_throughout(capsys: pytest.CaptureFixture[str]):
    code, out, _ = said(capsys, "digits-mdtanhs")
    assert code == 0
    assert out.count("2: -1, 1") >= 3
    assert "quantized: 100.0% of" in out


def test_a_float_network_is_not_quantized(capsys: pytest.CaptureFixture[str]):
    code, out, _ = said(capsys, "digits-float")
    assert code == 0
    assert "quantized: 0.0% of" in out


def test_a_wrong_name_is_one_line(capsys: pytest.CaptureFixture[str]):
    code, out, err = said(capsys, "digits-flaot")
    assert (code, out) == (2, "")
    assert err == "error: unknown model 'digits-flaot'; did you mean 'digits-float'?\n"
