"""Every tensor that classification reads trains."""

from __future__ import annotations

from typing import TYPE_CHECKING

from finecomb.config.schema import tuning as schema
from finecomb.learning.tuning.tuned import Tuned, inside, train_only

if TYPE_CHECKING:
    from finecomb.learning.model.backbone import Backbone

VERSION = "1"


class Full:
    """Full fine-tuning."""

    def __init__(self, config: schema.Full) -> None:
        self.config = config

    def apply(self, backbone: Backbone, *, seed: int) -> Tuned:
        """Unfreeze everything but what the architecture keeps for other tasks (`Family.unused`)."""
        unused = backbone.family.unused
        train_only(backbone.model, [name for name, _ in backbone.model.named_parameters() if not inside(name, unused)])
        return Tuned(self.config, backbone, backbone.model)
