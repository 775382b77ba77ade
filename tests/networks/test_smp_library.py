"""torchvision imports beside any torch, and a matching pair is left alone."""

import subprocess
import sys
import textwrap
from types import ModuleType

import pytest
import torch

from polypda.networks.smp_library import import_torchvision


def _run(code: str, *path: str) -> str:
    program = f"import sys; sys.path[:0] = {list(path)!r}\n{textwrap.dedent(code)}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_the_installed_pair_imports_and_builds_an_encoder_whatever_its_build():
    out = _run("""
        from polypda.networks.smp_library import import_torchvision
        torchvision = import_torchvision()
        assert import_torchvision() is torchvision
        import torch
        encoder = torchvision.models.mobilenet_v2(weights=None).eval()
        print(tuple(encoder(torch.zeros(1, 3, 32, 32)).shape))
    """)
    assert out.strip() == "(1, 1000)"


def test_the_cli_package_does_not_import_torchvision():
    _run("import polypda.cli, sys; assert 'torchvision' not in sys.modules and 'timm' not in sys.modules")


def test_a_matching_pair_is_imported_as_it_is(monkeypatch):
    matching = ModuleType("torchvision")
    monkeypatch.setitem(sys.modules, "torchvision", matching)
    monkeypatch.setattr(torch.library, "Library", _no_declaration)
    assert import_torchvision() is matching
    assert sys.modules["torchvision"] is matching


def test_a_broken_pair_gets_both_operators_and_is_imported_again(tmp_path):
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "part.py").write_text("imported = 1\n")
    (tmp_path / "torchvision" / "__init__.py").write_text(
        "import torch\nfrom torchvision import part\n"
        "for name in ('nms', 'qnms'):\n"
        "    if not hasattr(torch.ops.torchvision, name):\n"
        "        raise RuntimeError(f'operator torchvision::{name} does not exist')\n"
    )
    _run(
        """
        from polypda.networks.smp_library import import_torchvision
        import gc, torch
        assert import_torchvision().part.imported == 1
        gc.collect()
        assert hasattr(torch.ops.torchvision, "nms") and hasattr(torch.ops.torchvision, "qnms")
        """,
        str(tmp_path),
    )


def test_another_failure_is_not_hidden(monkeypatch, tmp_path):
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").write_text("raise RuntimeError('driver too old')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "torchvision")
    monkeypatch.setattr(torch.library, "Library", _no_declaration)
    with pytest.raises(RuntimeError, match="driver too old"):
        import_torchvision()


def _no_declaration(*_arguments):
    raise AssertionError("an operator was declared")
