"""The verbs of the command line that take arguments of their own: each reads them and calls one function."""
