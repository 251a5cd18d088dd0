"""The head and all bias vectors train (Ben Zaken et al. 2022)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from finecomb.config.schema import tuning as schema
from finecomb.core.errors import ConfigError, Problem
from finecomb.learning.tuning.tuned import Tuned, inside, is_bias, train_only

if TYPE_CHECKING:
    from finecomb.learning.model.backbone import Backbone

VERSION = "1"


class BitFit:
    """Biases of linear maps, of norms and of attention (XLNet's r_w_bias and its like), wherever they are."""

    def __init__(self, config: schema.BitFit) -> None:
        self.config = config

    def apply(self, backbone: Backbone, *, seed: int) -> Tuned:
        """Freeze everything but the biases and the new modules.

        Raises:
            ConfigError: there are no biases below the head.
        """
        names = [name for name, _ in backbone.model.named_parameters()]
        biases = [name for name in names if is_bias(name) and not inside(name, backbone.new_modules)]
        if not biases:
            raise ConfigError(
                Problem(
                    f"these weights ({backbone.model.config.model_type}) have no biases below the head",
                    "tuning=bitfit",
                    hint="use tuning=head, which would train the same",
                )
            )
        train_only(backbone.model, biases + [name for name in names if inside(name, backbone.new_modules)])
        return Tuned(self.config, backbone, backbone.model)
