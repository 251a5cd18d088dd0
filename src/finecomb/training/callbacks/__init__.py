"""What a run adds to Lightning's loops: the clock, the record, the best value, and the reasons to stop.

They run in the order Clock, Record, Best, Stop, Checkpoint. What they must remember is plain values in the checkpoint.
"""

from finecomb.training.callbacks.best import Best
from finecomb.training.callbacks.clock import Clock
from finecomb.training.callbacks.record import Record, TrainingFailed
from finecomb.training.callbacks.stop import Stop

__all__ = ["Best", "Clock", "Record", "Stop", "TrainingFailed"]
