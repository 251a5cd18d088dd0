"""Puts the data and the learning wings together: a LightningDataModule and a LightningModule, trained by a worker from a frozen config."""
