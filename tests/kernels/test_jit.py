"""What is kept of compiled code, and when it is compiled anew."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np

from mlorakit.kernels import compiled, jit


def test_results_are_kept_below_the_kernels_by_a_hash_of_all_of_them() -> None:
    folder = Path(numba.config.CACHE_DIR)
    assert folder.parent == Path(jit.__file__).parent / "__pycache__"
    key = np.array([1, 2], np.uint32)
    compiled.random_numbers(2, 2, key)
    assert any(folder.rglob("compiled.random_numbers*.nbi"))


def test_a_change_of_one_file_reaches_the_functions_of_another(tmp_path: Path) -> None:
    # `use.twice` inlines `made.value`; Numba's own cache would go on with the old one.
    (tmp_path / "kernels").mkdir()
    shutil.copy(jit.__file__, tmp_path / "kernels")
    (tmp_path / "kernels/use.py").write_text(
        "from kernels.jit import serial\nfrom kernels.made import value\n\n"
        "@serial\ndef twice():\n    return 2 * value()\n"
    )
    found = []
    for value in (3, 50):
        (tmp_path / "kernels/made.py").write_text(
            f"from kernels.jit import serial\n\n@serial\ndef value():\n    return {value}\n"
        )
        for _ in range(2):
            done = subprocess.run(
                [sys.executable, "-c", "from kernels.use import twice; print(twice())"],
                cwd=tmp_path,
                env={**os.environ, "PYTHONPATH": ""},
                capture_output=True,
                text=True,
                check=True,
            )
            found.append(int(done.stdout))
    assert found == [6, 6, 100, 100]
    assert len(list((tmp_path / "kernels/__pycache__").glob("?" * 16))) == 2
