"""From a study.yaml to its runs: arms, columns, seeds and tuning budget, what is done, and running what is not."""
