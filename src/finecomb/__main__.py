"""`python -m finecomb` is the command `finecomb`."""

from finecomb.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
