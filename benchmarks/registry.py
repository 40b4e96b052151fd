"""The benchmarks by name."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Benchmark:
    """A module of this package with a `main`, which writes `NAME.json` and `NAME.md`.

    Args:
        about: what it measures, beside what.
        on_gpu: whether it takes `--device cuda`, and then writes `NAME_cuda.json`.
        on_cpu: whether it runs on a CPU without being named.
    """

    about: str
    on_gpu: bool = False
    on_cpu: bool = True


BENCHMARKS: dict[str, Benchmark] = {
    "speed": Benchmark("training beside three libraries; MLoRA's layers beside the base", True),
    "parity": Benchmark("test WAUC of the base models beside DeepCTR-Torch's"),
    "evaluation": Benchmark("an epoch's evaluation; AUCs per domain beside scikit-learn"),
    "seeds": Benchmark("five seeds of a cell beside one", True),
    "grid": Benchmark("the whole MovieLens table, five seeds", on_gpu=True, on_cpu=False),
    "floor": Benchmark("a training step beside its operations, bytes and launches", True),
    "lora": Benchmark("adapters of many domains beside a loop over domains and PEFT", True),
    "training_memory": Benchmark("peak memory of training beside other libraries"),
    "pruning": Benchmark("global magnitude pruning beside torch.nn.utils.prune", True),
    "sparse": Benchmark("sparse inference beside the dense network", True),
    "tfrecords": Benchmark("reading TFRecords beside the package tfrecord"),
    "sampling": Benchmark("negatives beside a loop over users; preprocessing of many reviews"),
    "pipeline": Benchmark("notebooks and DVC beside the training alone"),
}
"""In the order in which they run; the key is the module's name."""
