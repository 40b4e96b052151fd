"""The libraries that training is timed beside."""

import importlib
import importlib.metadata
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mlorakit.config import TrainConfig
from mlorakit.data.dataset import MultiDomainData


class PeerMissingError(RuntimeError):
    """A library that the benchmark compares with is not installed."""


@dataclass(frozen=True)
class Peer:
    """A library with models and a training loop of its own.

    Args:
        title: as it writes its name.
        package: to install.
        module: to import.
        code: the module here that builds its models and trains them.
        backbones: that it shares with mlorakit.
        notes: how its models or its training differ beyond the library.
    """

    title: str
    package: str
    module: str
    code: str
    backbones: tuple[str, ...]
    notes: str

    def available(self) -> bool:
        """Whether it is installed."""
        return importlib.util.find_spec(self.module) is not None

    def version(self) -> str:
        """Its version.

        Raises:
            PeerMissingError: it is not installed.
        """
        require(self.module, self.package)
        return importlib.metadata.version(self.package)

    def trainer(
        self, config: TrainConfig, data: MultiDomainData, folder: Path, device: str
    ) -> Callable[[], None]:
        """One pass over the training rows by the loop that its users call.

        Args:
            config: backbone and settings.
            data: on the CPU.
            folder: for what the loop writes.
            device: `cpu` or `cuda`.

        Returns:
            A call that trains one pass further.

        Raises:
            PeerMissingError: it is not installed.
        """
        require(self.module, self.package)
        return importlib.import_module(self.code).trainer(config, data, folder, device)


def require(module: str, package: str) -> None:
    """Check that a library is installed.

    Raises:
        PeerMissingError: it is not.
    """
    if importlib.util.find_spec(module) is None:
        raise PeerMissingError(
            f"{package} is not installed; run `make bench`, which installs the extra `bench`."
        )


PEERS: dict[str, Peer] = {
    "deepctr_torch": Peer(
        "DeepCTR-Torch",
        "deepctr-torch",
        "deepctr_torch",
        "benchmarks.peer",
        ("wdl", "nfm", "autoint", "pnn", "dcn", "deepfm", "xdeepfm", "fibinet"),
        "AutoInt's heads split the embedding, 4 heads of size 2 at K = 8 (ours: 4 of size 8)",
    ),
    "torch_rechub": Peer(
        "torch-rechub",
        "torch-rechub",
        "torch_rechub",
        "benchmarks.peer_rechub",
        ("wdl", "autoint", "dcn", "deepfm", "fibinet"),
        "its MLPs always normalise batches; its linear models weigh the embeddings, and no table "
        "of the ids; AutoInt's heads split the embedding as DeepCTR-Torch's do",
    ),
    "fuxictr": Peer(
        "FuxiCTR",
        "fuxictr",
        "fuxictr",
        "benchmarks.peer_fuxictr",
        ("mlp", "wdl", "nfm", "autoint", "pnn", "dcn", "deepfm", "xdeepfm", "fibinet"),
        "its package holds the layers and the training loop, and the models are put together from "
        "these as in its model zoo; its loop clips gradients and saves the weights; xDeepFM's "
        "CIN is not split in half, and FiBiNET has two sets of bilinear matrices",
    ),
}
"""By the name that results carry."""
