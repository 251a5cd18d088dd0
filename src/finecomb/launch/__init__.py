"""From a composed config to ended runs: freeze, start workers on this machine or by SLURM, watch, retry, stop. No torch."""
