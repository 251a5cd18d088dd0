"""From runs to a table one can print: frames (the facts), analysis (the numbers), and tables, figures and pages made of nothing else."""

from finecomb.studies.report import frames
from finecomb.studies.report.collect import collect
from finecomb.studies.report.write import write

__all__ = ["collect", "frames", "write"]
