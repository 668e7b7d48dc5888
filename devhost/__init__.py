"""A local host for Azure Functions apps in Python: loads, runs and tests them offline. Never deployed."""

from __future__ import annotations

__version__ = "0.1.0"
