"""Which weights training moves: a model's adapters, everything else, or all."""

from mlorakit.layers.mlp import DomainLoRA
from mlorakit.layers.norm import Standardize
from mlorakit.models.backbone import Backbone


class AdapterError(ValueError):
    """An adapter that a model does not have or cannot take."""


def layers_with_adapters(model: Backbone, domain: int = 0) -> list[DomainLoRA]:
    """The layers of a model that hold adapters, first to last.

    Args:
        model: with MLoRA's layers.
        domain: a number that the model must have.

    Raises:
        AdapterError: it has no such domain, or no adapters at all.
    """
    layers = model.adapted_layers()
    if not layers:
        raise AdapterError(
            f"{type(model).__name__} has no adapters; build it with variant 'mlora' or 'control'."
        )
    n_domains = len(layers[0].lora_b_bias)
    if not 0 <= domain < n_domains:
        raise AdapterError(f"Domain {domain} is none of the model's, 0 to {n_domains - 1}.")
    return layers


def freeze_shared(model: Backbone) -> None:
    """Let training move the adapters alone; the statistics of a norm stay as they are too.

    A domain without training rows keeps its adapter: its gradient is zero, and so is Adam's step.

    Raises:
        AdapterError: the model has no adapters.
    """
    _set_trained(model, adapters=True, others=False)


def freeze_adapters(model: Backbone) -> None:
    """Let training move everything but the adapters.

    Raises:
        AdapterError: the model has no adapters.
    """
    _set_trained(model, adapters=False, others=True)


def unfreeze(model: Backbone) -> None:
    """Let training move everything.

    Raises:
        AdapterError: the model has no adapters.
    """
    _set_trained(model, adapters=True, others=True)


def _set_trained(model: Backbone, *, adapters: bool, others: bool) -> None:
    layers = layers_with_adapters(model)
    model.requires_grad_(others)
    for layer in layers:
        for parameter in (layer.lora_a, layer.lora_b_bias):
            if parameter is not None:
                parameter.requires_grad_(adapters)
    for module in model.modules():
        if isinstance(module, Standardize):
            module.frozen = not others
