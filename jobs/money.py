"""Amounts as people read them: minor units of a currency, written in the currency."""

from __future__ import annotations

from decimal import Decimal

_WITHOUT = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF"
_WITH_THREE = "BHD IQD JOD KWD LYD OMR TND"
"""Currencies with no digit or three after the point (ISO 4217); all others have two."""


def written(amount: int, currency: str, *, grouped: bool = False) -> str:
    """`12.50` for 1250 minor units of EUR, `1250` for those of JPY. `grouped`: with commas between thousands."""
    digits = 0 if currency in _WITHOUT.split() else 3 if currency in _WITH_THREE.split() else 2
    return f"{Decimal(amount).scaleb(-digits):{',' if grouped else ''}.{digits}f}"
