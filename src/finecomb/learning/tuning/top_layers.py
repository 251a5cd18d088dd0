"""The head and the k layers nearest to it train (Houlsby et al. 2019, section 3.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from finecomb.config.schema import tuning as schema
from finecomb.core.errors import ConfigError, Problem
from finecomb.learning.tuning.tuned import Tuned, inside, layer_paths, train_only

if TYPE_CHECKING:
    from finecomb.learning.model.backbone import Backbone

VERSION = "1"


class TopLayers:
    """Fine-tuning of the top of the model."""

    def __init__(self, config: schema.TopLayers) -> None:
        self.config = config

    def apply(self, backbone: Backbone, *, seed: int) -> Tuned:
        """Freeze everything below the top k layers; embeddings, pooler and final norm as configured.

        What all layers share (DeBERTa's relative positions) counts as embeddings.

        Raises:
            ConfigError: the model has fewer than k layers.
        """
        family, k = backbone.family, self.config.k
        layers = layer_paths(backbone.model, family)
        depth = len(layers)
        if k > depth:
            raise ConfigError(Problem(f"{k} top layers of a model that has {depth}", "tuning.k", allowed=f"0 to {depth}"))
        paths = backbone.new_modules + tuple(layers[depth - k :])
        if self.config.embeddings:
            paths += family.embeddings
        if self.config.pooler:
            paths += family.pooler + family.final
        train_only(backbone.model, [name for name, _ in backbone.model.named_parameters() if inside(name, paths)])
        return Tuned(self.config, backbone, backbone.model)
