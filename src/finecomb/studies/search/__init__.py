"""One search engine for Hydra's -m, for sweep.yaml and for a study's tuning: what is searched, what comes next, what is stopped early."""
