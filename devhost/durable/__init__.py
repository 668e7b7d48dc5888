"""Durable Functions for the azure-functions-durable 1.x SDK: engine, task hub, client API."""

from devhost.durable.extension import DurableExtension

__all__ = ["DurableExtension"]
