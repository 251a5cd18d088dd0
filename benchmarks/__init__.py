"""Measurements side by side, in one run, since machines differ more than programs do."""
