"""What many runs say together: launching them, statistics over them, and tables. Imports no torch."""
