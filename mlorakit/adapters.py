"""The adapter of one domain, apart from the model whose other weights it was trained with.

A model with MLoRA's layers (arXiv 2408.08913) holds, for each of D domains and in each layer, A_d,
B_d and c_d. Those of one domain are its adapter: they can be taken out, kept in a file, put back,
added for a new domain, or merged into the shared weights. An optimizer or checkpoint made before a
domain was added or dropped does not fit the model any more.

A partitioned norm holds weights and statistics of each domain too, which an adapter does not carry:
a model with one can be merged and frozen, and takes part in nothing else here.
"""

import copy
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mlorakit.freezing import AdapterError, freeze_shared, layers_with_adapters
from mlorakit.layers.given_embedding import GivenEmbedding
from mlorakit.layers.mlp import Dense, DomainLoRA
from mlorakit.layers.norm import PartitionedNorm
from mlorakit.models import BACKBONES, Backbone

_SHOWN = 12  # digits of a hash in a message


@dataclass(frozen=True)
class LayerAdapter:
    """What one layer has for one domain.

    Args:
        a: A of shape (R, n_in); None in a `control` layer, which has no low-rank term.
        b_bias: B and, as its last row, c; of shape (R + 1, n_out).
    """

    a: Tensor | None
    b_bias: Tensor

    @property
    def rank(self) -> int:
        """R."""
        return self.b_bias.shape[0] - 1


@dataclass(frozen=True)
class Adapter:
    """What a model has for one domain.

    Args:
        backbone: of the model, a key of `BACKBONES`.
        domain: readable name.
        widths: of the MLP: its input's, then each layer's.
        shared: SHA-256 of the model's other weights, see `shared_hash`.
        layers: first to last.
    """

    backbone: str
    domain: str
    widths: tuple[int, ...]
    shared: str
    layers: tuple[LayerAdapter, ...]

    @property
    def ranks(self) -> tuple[int, ...]:
        """Of each layer; all 0 from a `control` model."""
        return tuple(layer.rank for layer in self.layers)


def shared_hash(model: Backbone) -> str:
    """SHA-256 of all weights but the adapters', which decide what an adapter means."""
    total = hashlib.sha256()
    weights = model.state_dict()
    if isinstance(model.embedding, GivenEmbedding):
        weights["embedding.given"] = model.embedding.given
    for name, tensor in sorted(weights.items()):
        if name.endswith((".lora_a", ".lora_b_bias")):
            continue
        total.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        total.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return total.hexdigest()


def get_adapter(model: Backbone, domain: int, name: str) -> Adapter:
    """A copy of a domain's adapter.

    Args:
        model: with MLoRA's layers.
        domain: its number, from 0.
        name: to keep with it.

    Raises:
        AdapterError: the model has no such domain, or no adapters at all.
    """
    layers = _portable_layers(model, domain)
    return Adapter(
        backbone=_backbone(model),
        domain=name,
        widths=_widths(layers),
        shared=shared_hash(model),
        layers=tuple(
            LayerAdapter(
                None if layer.lora_a is None else layer.lora_a[domain].detach().clone(),
                layer.lora_b_bias[domain].detach().clone(),
            )
            for layer in layers
        ),
    )


def put_adapter(model: Backbone, domain: int, adapter: Adapter) -> None:
    """Give a domain an adapter in place of its own.

    Args:
        model: with MLoRA's layers; changed.
        domain: its number, from 0.
        adapter: from this model or one with the same shared weights.

    Raises:
        AdapterError: the model has no such domain, or the adapter is for another model. The model
            is then as it was.
    """
    layers = _portable_layers(model, domain)
    for what, theirs, ours in (
        ("backbone", adapter.backbone, _backbone(model)),
        ("MLP widths", adapter.widths, _widths(layers)),
        ("ranks", adapter.ranks, tuple(layer.rank for layer in layers)),
    ):
        if theirs != ours:
            raise AdapterError(
                f"The adapter of domain {adapter.domain!r} is for {what} {_listed(theirs)}, and "
                f"the model has {_listed(ours)}; build the model with the adapter's settings."
            )
    shared = shared_hash(model)
    if adapter.shared != shared:
        raise AdapterError(
            f"The adapter of domain {adapter.domain!r} was trained with other shared weights "
            f"(SHA-256 {adapter.shared[:_SHOWN]}, the model's {shared[:_SHOWN]}); load the weights "
            "of the model that it was taken from."
        )
    with torch.no_grad():
        for layer, own in zip(layers, adapter.layers, strict=True):
            if layer.lora_a is not None and own.a is not None:
                layer.lora_a[domain].copy_(own.a)
            layer.lora_b_bias[domain].copy_(own.b_bias)


def add_domain(model: Backbone, seed: int) -> int:
    """Give a model one more domain, whose adapter changes nothing yet: A Glorot-normal, B and c 0.

    What the fields say of the domain is another matter: a value that was not seen in training has
    id 0 and, in the embeddings, the start that no row has moved.

    Args:
        model: with MLoRA's layers; changed.
        seed: of A.

    Returns:
        The new domain's number; the others keep theirs.

    Raises:
        AdapterError: the model has no adapters.
    """
    layers = _portable_layers(model)
    generator = torch.Generator().manual_seed(seed)
    for layer in layers:
        if layer.lora_a is not None:
            a = torch.empty(layer.lora_a.shape[1:])
            nn.init.xavier_normal_(a, generator=generator)
            layer.lora_a = _grown(layer.lora_a, a)
        layer.lora_b_bias = _grown(layer.lora_b_bias, torch.zeros(layer.lora_b_bias.shape[1:]))
    return len(layers[0].lora_b_bias) - 1


def drop_domain(model: Backbone, domain: int) -> None:
    """Take a domain and its adapter out of a model; the numbers of later domains fall by one.

    Args:
        model: with MLoRA's layers; changed.
        domain: its number, from 0.

    Raises:
        AdapterError: the model has no such domain, or no other.
    """
    layers = _portable_layers(model, domain)
    if len(layers[0].lora_b_bias) == 1:
        raise AdapterError(
            "The model has a single domain, which cannot be dropped; merge_domain makes a base "
            "model of it."
        )
    for layer in layers:
        if layer.lora_a is not None:
            layer.lora_a = _without(layer.lora_a, domain)
        layer.lora_b_bias = _without(layer.lora_b_bias, domain)


def merge_domain(model: Backbone, domain: int) -> Backbone:
    r"""A base model that gives in evaluation what the model gives for one domain.

    .. math:: W' = W + (A_d B_d)^T, \qquad b' = b + c_d

    Args:
        model: with MLoRA's layers.
        domain: its number, from 0.

    Returns:
        A copy with plain layers: no adapters, the same output for every domain.

    Raises:
        AdapterError: the model has no such domain, or no adapters at all.
    """
    merged = copy.deepcopy(model)
    for place, layer in enumerate(layers_with_adapters(merged, domain)):
        n_out, n_in = layer.shared.weight.shape
        weight, bias = layer.shared.weight.detach(), layer.shared.bias.detach()
        own = layer.lora_b_bias[domain].detach()
        if layer.lora_a is not None:
            weight = torch.addmm(weight, own[:-1].t(), layer.lora_a[domain].detach())
        with torch.device("meta"):  # so that no weights are drawn
            dense = Dense(n_in, n_out, layer.p)
        dense.shared.weight = nn.Parameter(weight)
        dense.shared.bias = nn.Parameter(bias + own[-1])
        merged.mlp.layers[place] = dense.train(layer.training)
    if isinstance(merged.input_norm, PartitionedNorm):
        merged.input_norm = merged.input_norm.of_domain(domain).train(merged.input_norm.training)
    return merged


def _portable_layers(model: Backbone, domain: int = 0) -> list[DomainLoRA]:
    """Those of a model whose adapters are all that it has of a domain."""
    if isinstance(model.input_norm, PartitionedNorm):
        raise AdapterError(
            "The model normalises each domain on its own (norm 'pn'), which an adapter does not "
            "carry; train it with norm 'none' or 'bn', or merge_domain it as a whole."
        )
    return layers_with_adapters(model, domain)


def _backbone(model: Backbone) -> str:
    for name, kind in BACKBONES.items():
        if type(model) is kind:
            return name
    raise AdapterError(
        f"{type(model).__name__} is none of the backbones {', '.join(BACKBONES)}, so its adapters "
        "have no place elsewhere."
    )


def _widths(layers: list[DomainLoRA]) -> tuple[int, ...]:
    return layers[0].shared.in_features, *(layer.shared.out_features for layer in layers)


def _listed(value: str | Iterable[int]) -> str:
    return value if isinstance(value, str) else ", ".join(map(str, value))


def _grown(of_domains: nn.Parameter, more: Tensor) -> nn.Parameter:
    """Values of shape (D, ...) with those of one more domain."""
    new = more.to(of_domains).unsqueeze(0)
    return nn.Parameter(torch.cat((of_domains.detach(), new)), of_domains.requires_grad)


def _without(of_domains: nn.Parameter, domain: int) -> nn.Parameter:
    """Values of shape (D, ...) without those of a domain."""
    kept = torch.arange(len(of_domains), device=of_domains.device) != domain
    return nn.Parameter(of_domains.detach()[kept], of_domains.requires_grad)


__all__ = [
    "Adapter",
    "AdapterError",
    "LayerAdapter",
    "add_domain",
    "drop_domain",
    "freeze_shared",
    "get_adapter",
    "merge_domain",
    "put_adapter",
    "shared_hash",
]
