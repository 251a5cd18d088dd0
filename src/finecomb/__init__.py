"""finecomb: prepare text data, fine-tune language models on it, and find out which way of tuning is really better.

    import finecomb

    config = finecomb.compose("tuning=lora", "seed=1")
    run = finecomb.train(config)
    run.metrics["test/accuracy"]

Names are imported when they are first used, so that `import finecomb` takes no time and loads no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from finecomb.api.building import build as build
    from finecomb.api.comparing import compare as compare
    from finecomb.api.composing import compose as compose
    from finecomb.api.preparing import prepare as prepare
    from finecomb.api.run import Run as Run
    from finecomb.api.run import RunFailed as RunFailed
    from finecomb.api.study import Study as Study
    from finecomb.api.training import multirun as multirun
    from finecomb.api.training import train as train
    from finecomb.config.schema.train import Config as Config
    from finecomb.core.errors import ConfigError as ConfigError
    from finecomb.data.engine import LocalEngine as LocalEngine
    from finecomb.data.ray_engine import RayEngine as RayEngine
    from finecomb.serving.predictor import Predictor as Predictor

__version__ = "0.1.0"
__all__ = [
    "Config",
    "ConfigError",
    "LocalEngine",
    "Predictor",
    "RayEngine",
    "Run",
    "RunFailed",
    "Study",
    "build",
    "compare",
    "compose",
    "multirun",
    "prepare",
    "train",
]

_MODULES = {
    "Config": "finecomb.config.schema.train",
    "ConfigError": "finecomb.core.errors",
    "LocalEngine": "finecomb.data.engine",
    "Predictor": "finecomb.serving.predictor",
    "RayEngine": "finecomb.data.ray_engine",
    "Run": "finecomb.api.run",
    "RunFailed": "finecomb.api.run",
    "Study": "finecomb.api.study",
    "build": "finecomb.api.building",
    "compare": "finecomb.api.comparing",
    "compose": "finecomb.api.composing",
    "multirun": "finecomb.api.training",
    "prepare": "finecomb.api.preparing",
    "train": "finecomb.api.training",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'finecomb' has no attribute {name!r}")
    globals()[name] = found = getattr(importlib.import_module(_MODULES[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
