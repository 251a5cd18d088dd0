"""Stands in for setuptools while pip fetches a source archive, so that the archive's setup.py is never run. See build_meta.py."""
