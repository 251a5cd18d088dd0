"""Only the task's new head trains, and the pre-trained pooler when asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from finecomb.config.schema import tuning as schema
from finecomb.learning.tuning.tuned import Tuned, inside, train_only

if TYPE_CHECKING:
    from finecomb.learning.model.backbone import Backbone

VERSION = "1"


class Head:
    """Linear probing, or as deep as the architecture's head is."""

    def __init__(self, config: schema.Head) -> None:
        self.config = config

    def apply(self, backbone: Backbone, *, seed: int) -> Tuned:
        """Freeze everything but the new modules. A pooler that the weights lack is new and trains in any case."""
        paths = backbone.new_modules + (backbone.family.pooler if self.config.pooler else ())
        train_only(backbone.model, [name for name, _ in backbone.model.named_parameters() if inside(name, paths)])
        return Tuned(self.config, backbone, backbone.model)
