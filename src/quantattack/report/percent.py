"""Shares in percent, as tables and sentences have them."""

from math import isnan


def percent(share: float) -> str:
    """Return a share in percent with one decimal, a dash where there is none."""
    return "-" if isnan(share) else f"{100 * share:.1f}%"
