"""A file of dataclasses for each config group: names, types, bounds, and the facts that validation and the wings share."""
