"""From a dataset's config to data that is ready to train on, and for `finecomb prepare` to a folder that says what became of every row."""

from finecomb.data.dataset.prepared import PreparedFolder, open_prepared
from finecomb.data.prepare.preparation import VERSION, prepare

__all__ = ["VERSION", "PreparedFolder", "open_prepared", "prepare"]
