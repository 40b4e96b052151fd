"""Backbones that add a factorization term to the logit."""

from torch import Tensor, nn

from mlorakit.kernels.interaction import FactorizationMachine, factorization_machine
from mlorakit.layers.interactions import CompressedInteraction
from mlorakit.models.backbone import Backbone, Interacted, Interaction


class DeepFM(Backbone):
    """DeepFM (arXiv 1703.04247): a factorization machine beside the MLP."""

    def interaction(self) -> Interaction:
        return Interaction("logit", factorization_machine, FactorizationMachine)


class XDeepFM(Backbone):
    """xDeepFM (arXiv 1803.05170): a CIN of 128 and 128 feature maps beside the MLP.

    The code released with MLoRA builds DeepFM under this name; this is xDeepFM.
    """

    def build(self) -> int:
        self.cin = CompressedInteraction(self.n_fields, (128, 128))
        self.cin_head = nn.Linear(self.cin.width, 1, bias=False)
        nn.init.xavier_normal_(self.cin_head.weight)
        return 0

    def interact(self, e: Tensor) -> Interacted:
        return Interacted(e.flatten(1), extra_logit=self.cin_head(self.cin(e)).squeeze(1))
