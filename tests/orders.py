"""Orders for tests, and the stock they are taken from."""

from __future__ import annotations

from typing import Any


def order(customer: str, sku: str = "MUG", quantity: int = 1) -> dict[str, Any]:
    """A good input for the kind `order`; `customer` is an id under which the sandbox can be told to fail."""
    return {
        "customer": {
            "id": customer,
            "name": "Ada Lovelace",
            "email": f"{customer.lower()}@example.com",
            "address": "12 St James's Square, London",
        },
        "card": "tok_visa",
        "currency": "EUR",
        "lines": [{"sku": sku, "quantity": quantity}],
    }


def article(sku: str, available: int, price: int = 1000) -> dict[str, Any]:
    """A stock entry as `python -m jobs stock load` takes it; the price in cents."""
    return {"sku": sku, "name": sku.title(), "price": price, "currency": "EUR", "available": available}
