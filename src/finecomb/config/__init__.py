"""What can be chosen: schemas, composition, validation, explanation and identity of a config. Never imports torch."""
