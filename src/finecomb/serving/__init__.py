"""Using what a run left: `Predictor(run)(["some text"])`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from finecomb.serving.predictor import Predictor

__all__ = ["Predictor"]


def __getattr__(name: str) -> Any:
    """The predictor needs torch and is imported when first asked for, so that the command can tell the user's errors at once."""
    if name == "Predictor":
        from finecomb.serving.predictor import Predictor

        return Predictor
    raise AttributeError(name)
