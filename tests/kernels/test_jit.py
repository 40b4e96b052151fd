"""What is kept of compiled code, and when it is compiled anew."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

from mlorakit.kernels import compiled, jit


def test_results_are_kept_in_the_environment_by_a_hash_of_all_kernels() -> None:
    folder = Path(compiled.random_numbers.stats.cache_path)
    assert folder.parent == Path(sys.prefix) / "cache/mlorakit"
    key = np.array([1, 2], np.uint32)
    compiled.random_numbers(2, 2, key)
    assert any(folder.glob("compiled.random_numbers*.nbi"))


def test_a_change_of_one_file_reaches_the_functions_of_another(tmp_path: Path) -> None:
    # `use.twice` inlines `made.value`; Numba's own cache would go on with the old one.
    (tmp_path / "kernels").mkdir()
    shutil.copy(jit.__file__, tmp_path / "kernels")
    (tmp_path / "kernels/use.py").write_text(
        "from kernels.jit import serial\nfrom kernels.made import value\n\n"
        "@serial\ndef twice():\n    return 2 * value()\n"
    )
    found, folders = [], set()
    for value in (3, 50):
        (tmp_path / "kernels/made.py").write_text(
            f"from kernels.jit import serial\n\n@serial\ndef value():\n    return {value}\n"
        )
        for _ in range(2):
            done = subprocess.run(
                [
                    sys.executable,
                    "-c",
                    "from kernels.use import twice; print(twice(), twice.stats.cache_path)",
                ],
                cwd=tmp_path,
                env={**os.environ, "PYTHONPATH": ""},
                capture_output=True,
                text=True,
                check=True,
            )
            result, folder = done.stdout.split(maxsplit=1)
            found.append(int(result))
            folders.add(folder.strip())
    for folder in folders:
        shutil.rmtree(folder)
    assert found == [6, 6, 100, 100]
    assert len(folders) == 2
