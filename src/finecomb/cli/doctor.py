"""`finecomb doctor`."""

from __future__ import annotations

from finecomb.cli.arguments import parser_of

SUMMARY = "what this machine has, and what that means for a run"


def main(args: list[str]) -> int:
    """Look at the machine."""
    parser_of("doctor", SUMMARY, "  finecomb doctor").parse_args(args)
    from finecomb.config.doctor import show

    show()
    return 0
