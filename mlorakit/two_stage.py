"""Training in two stages: everything but the adapters, then the adapters alone.

MLoRA (arXiv 2408.08913) trains so where it pretrains a model and then fine-tunes its low-rank maps.
In the first stage every A stays at its Glorot start and every B and c at zero, so the model is the
base model. The second stage starts from the first one's best weights and trains A, B and c of every
layer and nothing else; as B is zero and A is not, B has a gradient from the first step on. In the
released code both are zero at that point, so neither would ever have one, and the second stage
cannot be reached at all.
"""

from collections.abc import Callable
from pathlib import Path

from mlorakit.data.dataset import MultiDomainData
from mlorakit.freezing import freeze_adapters, freeze_shared, unfreeze
from mlorakit.models.backbone import Backbone
from mlorakit.training import EpochRecord, FitSettings, Pace, fit


def fit_two_stages(
    model: Backbone,
    data: MultiDomainData,
    settings: FitSettings,
    *,
    checkpoint: Path | None = None,
    on_epoch: Callable[[EpochRecord, Pace], None] = lambda record, pace: None,
) -> list[EpochRecord]:
    """Train in two stages; the model ends with the best weights of both.

    The best score of the first stage is the one that the second must beat: if it never does, the
    model ends with the weights of the first. Patience and the cap of epochs hold for each stage.

    Args:
        model: with adapters as they start; its weights are the start.
        data: training and validation rows.
        settings: see `FitSettings`.
        checkpoint: names a file of each stage, see `stage_checkpoint`, to go on from and to write
            after each epoch; the caller removes them.
        on_epoch: called after each epoch with its record and its pace.

    Returns:
        A record per epoch of both stages, counted through.

    Raises:
        AdapterError: the model has no adapters.
        ValueError: there are no training rows.
    """
    history: list[EpochRecord] = []
    for stage, freeze in ((1, freeze_adapters), (2, freeze_shared)):
        freeze(model)
        history += fit(
            model,
            data,
            settings,
            checkpoint=None if checkpoint is None else stage_checkpoint(checkpoint, stage),
            on_epoch=on_epoch,
            stage=stage,
            before=tuple(history),
        )
    unfreeze(model)
    return history


def stage_checkpoint(checkpoint: Path, stage: int) -> Path:
    """The file that a stage goes on from.

    An interrupted second stage needs that of the first too: it holds the weights and the score to
    start from.
    """
    return checkpoint.with_stem(f"{checkpoint.stem}-stage-{stage}")
