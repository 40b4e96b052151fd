"""The keys of the released configs of models, as section.key."""

from typing import Any

NORMS = ("none", "bn", "pn")

_META = "of MAMDR's meta-learning, which MLoRA does not do"
IGNORED = {
    "model.auxiliary_net": "it is off",
    "model.auxiliary_dim": "the auxiliary net is off",
    "model.pretrain_judge": "both stages are run, one after the other",
    "train.train_from_ckp": "it is off; a run that was interrupted goes on by itself",
    "train.result_save_path": "results go into the folder of the parameter into",
    "train.checkpoint_path": "checkpoints go into .checkpoints",
    "train.val_every_step": "validation follows every epoch",
    "train.histogram_freq": "of TensorBoard, which is not written",
    "train.shuffle_sequence": "the order of domains is always random",
    "train.shuffle_buff_size": "all rows are shuffled",
    "dataset.dataset_path": "data lie in data/processed",
    "dataset.shuffle_buffer_size": "all rows are shuffled",
    "dataset.num_parallel_reads": "all rows lie in memory",
    **{
        f"train.{key}": _META
        for key in (
            "meta_learning_rate",
            "domain_meta_learning_rate",
            "merged_method",
            "sample_num",
            "add_query_domain",
            "finetune_every_epoch",
            "meta_sequence",
            "target_domain",
            "domain_regulation_step",
            "meta_train_step",
            "meta_finetune_step",
            "meta_split",
            "meta_split_ratio",
            "average_meta_grad",
            "meta_parms",
        )
    },
}
"""Keys that decide nothing here, and why."""

SAME = {
    "model.hidden_dim": "hidden",
    "model.dropout": "dropout",
    "train.learning_rate": "learning_rate",
    "train.patience": "patience",
    "dataset.batch_size": "batch_size",
}
"""Keys whose value a parameter takes as it is."""

DIMS = tuple(f"model.{kind}_dim" for kind in ("user", "item", "domain"))
FIXED: dict[str, tuple[Any, ...]] = {
    "train.loss": ("binary_crossentropy",),
    "train.optimizer": ("adam",),
    "model.auxiliary_net": (False,),
    "train.train_from_ckp": (False,),
    "model.norm": NORMS,
}
"""Keys that can take these values only."""

DECIDES = {
    "dataset": ("dataset.name", "dataset.domain_split_path"),
    "backbone": ("model.name",),
    "baseline": ("model.name",),
    "variant": ("model.name", "model.dense"),
    "two_stage": ("model.dense",),
    "rank": ("model.lora_r",),
    "alpha": ("model.lora_reduce",),
    "norm": ("model.norm",),
    "embedding_size": DIMS,
    "vectors": ("train.load_pretrain_emb", "train.emb_trainable"),
    "max_epochs": ("train.epoch",),
    "seeds": ("dataset.seed",),
    **{ours: (key,) for key, ours in SAME.items()},
}
"""The keys behind each parameter of training."""

READ = (
    "model.name",
    "model.norm",
    "model.dense",
    "model.lora_r",
    "model.lora_reduce",
    *DIMS,
    "train.load_pretrain_emb",
    "train.emb_trainable",
    "train.epoch",
    "train.loss",
    "train.optimizer",
    "dataset.name",
    "dataset.domain_split_path",
    "dataset.seed",
    *SAME,
)
"""Keys that decide something."""
