"""From run directories to numbers: frames of facts, scores with intervals and tests, and what makes rows less comparable."""
