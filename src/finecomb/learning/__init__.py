"""The learning wing: task, model, tuning, loss, optimizer and scheduler. Torch, transformers and PEFT; no Lightning, no data wing."""
