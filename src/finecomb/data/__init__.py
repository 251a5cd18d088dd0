"""The data wing: where labelled text comes from, how it is cleaned and split. Imports neither torch nor the learning wing."""
