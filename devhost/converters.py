"""Which converter decodes or encodes a value: azure.functions', or the worker's generic one."""

from __future__ import annotations

import json
from typing import Any

import azure.functions
from azure.functions.meta import Datum


class GenericConverter:
    """For parameters annotated exactly `str` or `bytes`, and for types azure.functions does not know (§2.2, §2.3)."""

    @classmethod
    def has_trigger_support(cls) -> bool:
        """Generic values never see trigger metadata."""
        return False

    @classmethod
    def check_input_type_annotation(cls, pytype: type) -> bool:
        """Whether a parameter may be annotated so."""
        return issubclass(pytype, str | bytes)

    @classmethod
    def check_output_type_annotation(cls, pytype: type) -> bool:
        """Whether an Out[…] may be annotated so."""
        return issubclass(pytype, str | bytes | bytearray)

    @classmethod
    def decode(cls, data: Datum, *, trigger_metadata: Any) -> Any:
        """Text and bytes as they are (JSON stays text); raises ValueError for numbers."""
        if data is None or data.type is None:
            return None
        if data.type in ("string", "bytes", "json"):
            return data.value
        raise ValueError(f"a generic binding cannot take data of the kind '{data.type}'")

    @classmethod
    def encode(cls, obj: Any, *, expected_type: Any) -> Datum:
        """The value as it travels; raises NotImplementedError for types that do not."""
        if obj is None:
            return Datum(None, None)
        if isinstance(obj, str):
            return Datum(obj, "string")
        if isinstance(obj, bytes | bytearray):
            return Datum(bytes(obj), "bytes")
        if isinstance(obj, dict | list):
            return Datum(json.dumps(obj), "json")
        if isinstance(obj, int):
            return Datum(obj, "int")
        if isinstance(obj, float):
            return Datum(obj, "double")
        raise NotImplementedError


def converter_for(binding_type: str) -> Any:
    """The converter class of a binding type ("generic" included)."""
    return azure.functions.get_binding_registry().get(binding_type) or GenericConverter


def has_implicit_output(binding_type: str) -> bool:
    """Whether a function with such a binding may return a value without `$return` (§2.3)."""
    converter = converter_for(binding_type)
    if converter is GenericConverter:
        return binding_type != "durableClient"
    return getattr(converter, "has_implicit_output", lambda: False)()


def decode(converter: Any, data: Datum, metadata: Any) -> Any:
    """A function's argument from what arrived. Raises TypeError or ValueError when the converter cannot take it."""
    try:
        return converter.decode(data, trigger_metadata=metadata)
    except NotImplementedError:
        raise TypeError(f"{converter.__name__} cannot decode data of the kind '{data.type}'") from None


def encode(converter: Any, value: Any, expected_type: Any) -> Datum:
    """A function's result as it travels. Raises TypeError when its binding does not take such a value."""
    try:
        return converter.encode(value, expected_type=expected_type)
    except NotImplementedError:
        raise TypeError(
            f"the binding does not take a Python {type(value).__name__} ({converter.__name__} cannot encode it)"
        ) from None
