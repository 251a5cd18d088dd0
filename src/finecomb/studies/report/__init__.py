"""From runs to a table one can print: frames (the facts), analysis (the numbers), and tables, figures and pages made of nothing else."""

from finecomb.studies.analysis import frames
from finecomb.studies.analysis.collect import collect
from finecomb.studies.report.write import write

__all__ = ["collect", "frames", "write"]
