"""Models: a backbone with a new head and its tokenizer. `source` tells where the weights are without importing torch; `backbone` builds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from finecomb.learning.model.source import ModelSource, inspect

if TYPE_CHECKING:
    from finecomb.learning.model.backbone import Backbone, build
    from finecomb.learning.model.scratch import Corpus

__all__ = ["Backbone", "Corpus", "ModelSource", "build", "inspect"]


def __getattr__(name: str) -> Any:
    """Names that need torch are imported when first asked for, so that the launcher can inspect a model without it."""
    if name in ("Backbone", "build"):
        from finecomb.learning.model import backbone

        return getattr(backbone, name)
    if name == "Corpus":
        from finecomb.learning.model.scratch import Corpus

        return Corpus
    raise AttributeError(name)
