"""What happens beside the training steps: the clock, the record, validation with its best value, and the reasons to stop.

They run in the order Clock, Record, Validate, Stop, Checkpoint. What they must remember is plain values in the checkpoint.
"""

from finecomb.training.callbacks.clock import Clock
from finecomb.training.callbacks.record import Record, TrainingFailed
from finecomb.training.callbacks.stop import Stop
from finecomb.training.callbacks.validate import Validate

__all__ = ["Clock", "Record", "Stop", "TrainingFailed", "Validate"]
