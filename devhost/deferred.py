"""Deferred bindings: arguments of the SDK's own types, which fetch their data themselves when they are used.

The app annotates a blob argument with a type of `azurefunctions.extensions.bindings.blob`. The host then sends where
the blob is instead of its content, and the package makes the object. As in the worker, the package is used only if the
app imported it; its registry says which types there are and for which bindings.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from azure.functions.meta import Datum

from devhost.functions import Binding

_COVERED = frozenset({"blob", "blobTrigger"})
_BASE = "azurefunctions.extensions.base"


@dataclass(frozen=True, slots=True)
class ModelBindingData:
    """What the host sends in place of the data; the names are those that the package reads."""

    version: str
    source: str
    content_type: str
    content: str


class DeferredConverter:
    """The package's converter for one parameter; stands where azure.functions' converter stands otherwise."""

    def __init__(self, converter: Any, pytype: Any) -> None:
        self._converter = converter
        self._pytype = pytype
        self.__name__ = converter.__name__

    def has_trigger_support(self) -> bool:
        """Whether it may see trigger metadata."""
        return True

    def decode(self, data: Datum, *, trigger_metadata: Any) -> Any:
        """The SDK object. Raises ValueError if it cannot be made."""
        return self._converter.decode(data, trigger_metadata=trigger_metadata, pytype=self._pytype)


def deferred_converter(binding: Binding, annotation: Any) -> DeferredConverter | None:
    """The converter of an input annotated with an SDK type that devhost covers; None for all others."""
    base = sys.modules.get(_BASE)
    if base is None or binding.type not in _COVERED or binding.direction != "in":
        return None
    registry = base.get_binding_registry()
    converter = registry.get(binding.type)
    if converter is None or not registry.check_supported_type(annotation):
        return None
    try:
        accepted = converter.check_input_type_annotation(annotation)
    except TypeError:  # a list of SDK types
        return None
    return DeferredConverter(converter, annotation) if accepted else None


def as_deferred(binding: Binding) -> Binding:
    """The binding with the mark that the worker sets on it."""
    return replace(binding, properties={**binding.properties, "properties": {"SupportsDeferredBinding": True}})


def is_deferred(binding: Binding) -> bool:
    """Whether the binding carries that mark."""
    marks = binding.properties.get("properties")
    return isinstance(marks, Mapping) and marks.get("SupportsDeferredBinding") is True


def blob_reference(connection: str, container: str, name: str | None) -> Datum:
    """The datum that stands for a blob; `connection` is the name of the environment variable that holds it."""
    content = json.dumps({"Connection": connection, "ContainerName": container, "BlobName": name})
    return Datum(ModelBindingData("1.0", "AzureStorageBlobs", "application/json", content), "model_binding_data")
