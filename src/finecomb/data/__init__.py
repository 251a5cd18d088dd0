"""The data wing: where labeled text comes from, how it is cleaned and split. Imports neither torch nor the learning wing."""
