"""Matches a Python function with its bindings as the worker does, and works out how each value is converted."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from azure.functions._thirdparty import typing_inspect

from devhost.converters import converter_for, has_implicit_output
from devhost.deferred import DeferredConverter, as_deferred, deferred_converter
from devhost.errors import FunctionLoadError
from devhost.functions import Binding


@dataclass(frozen=True, slots=True)
class Parameter:
    """One bound parameter (or the return value)."""

    binding: Binding
    converter: Any
    pytype: Any


@dataclass(frozen=True, slots=True)
class Signature:
    """All that is known about calling a function; see functions-host.md §1.1 for the rules behind it."""

    trigger: Parameter
    inputs: tuple[Parameter, ...]
    """Without the trigger."""
    outputs: tuple[Parameter, ...]
    """Out parameters, without `$return`."""
    returns: Parameter | None
    """None: the function must return None."""
    wants_context: bool

    @property
    def has_explicit_return(self) -> bool:
        """Whether the return value is bound to `$return`."""
        return self.returns is not None and self.returns.binding.name == "$return"


def read_signature(name: str, function: Callable[..., Any], bindings: Iterable[Binding]) -> Signature:
    """The signature of `function` under `bindings`. Raises FunctionLoadError when they do not fit together."""
    bindings = tuple(bindings)
    try:
        annotations = typing.get_type_hints(function)
    except Exception as error:
        raise FunctionLoadError(
            name,
            f"an annotation cannot be resolved ({error}).",
            "The host reads annotations when it loads the function: import their names at run time, "
            "not under TYPE_CHECKING.",
        ) from None
    bound = {binding.name: binding for binding in bindings if binding.name != "$return"}
    deferred = {key: deferred_converter(bound[key], annotations[key]) for key in bound.keys() & annotations.keys()}
    deferred = {key: converter for key, converter in deferred.items() if converter is not None}
    _refuse_sdk_types(name, {key: value for key, value in annotations.items() if key not in deferred})
    names = list(inspect.signature(function).parameters)
    wants_context = _takes_context(name, names, bound, annotations)
    _compare(name, set(names) - ({"context"} if wants_context else set()), set(bound))
    parameters = {key: _parameter(name, bound[key], annotations, deferred.get(key)) for key in names if key in bound}
    triggers = [parameter for parameter in parameters.values() if parameter.binding.is_trigger]
    return Signature(
        trigger=triggers[0],
        inputs=tuple(p for p in parameters.values() if p.binding.direction == "in" and p is not triggers[0]),
        outputs=tuple(p for p in parameters.values() if p.binding.direction == "out"),
        returns=_returns(name, bindings, annotations),
        wants_context=wants_context,
    )


def _refuse_sdk_types(name: str, annotations: dict[str, Any]) -> None:
    """Types of the azurefunctions-extensions-bindings-* packages that devhost cannot give to such a parameter."""
    for parameter, annotation in annotations.items():
        for part in (annotation, *typing.get_args(annotation)):
            module = str(getattr(part, "__module__", ""))
            if module.startswith("azurefunctions.extensions"):
                package = "-".join(module.split(".")[:4])
                raise FunctionLoadError(
                    name,
                    f"its parameter '{parameter}' has a type of {package}, which devhost does not cover.",
                    "devhost/COVERAGE.md lists what is; take the azure.functions type (func.ServiceBusMessage, "
                    "func.InputStream, ...), run this function with `func start`, or exclude it with --functions.",
                )


def _takes_context(name: str, names: list[str], bound: dict[str, Binding], annotations: dict[str, Any]) -> bool:
    if "context" not in names or "context" in bound:
        return False
    annotation = annotations.get("context")
    if annotation is not None and getattr(annotation, "__name__", "") != "Context":
        raise FunctionLoadError(
            name,
            f"its parameter 'context' is not bound, so it receives the invocation's azure.functions.Context, "
            f"but it is annotated {annotation!r}.",
            "Annotate it func.Context, or name the binding 'context' (orchestrators: context_name=\"context\").",
        )
    return True


def _compare(name: str, declared: set[str], bound: set[str]) -> None:
    if unbound := sorted(declared - bound):
        raise FunctionLoadError(
            name,
            f"these parameters have no trigger or binding: {', '.join(unbound)}.",
            "Bind each with a decorator whose arg_name is the parameter's name, or remove it.",
        )
    if absent := sorted(bound - declared):
        raise FunctionLoadError(
            name,
            f"these bindings have no parameter in Python: {', '.join(absent)}.",
            "Give the function a parameter with the name of each decorator's arg_name.",
        )


def _parameter(
    name: str, binding: Binding, annotations: dict[str, Any], deferred: DeferredConverter | None
) -> Parameter:
    if binding.direction not in ("in", "out"):
        raise FunctionLoadError(
            name,
            f"the binding '{binding.name}' has the direction '{binding.direction}', which Python does not support.",
        )
    if binding.name not in annotations:
        return Parameter(binding, converter_for(binding.type), None)
    annotation = annotations[binding.name]
    if deferred is not None:
        return Parameter(as_deferred(binding), deferred, annotation)
    pytype, is_out = _unwrap_out(name, binding.name, annotation)
    if not _is_type(pytype):
        raise FunctionLoadError(name, f"'{binding.name}' is annotated {annotation!r}, which is not a type.")
    if binding.direction == "out" and not is_out:
        raise FunctionLoadError(
            name, f"'{binding.name}' is an output, so its annotation must be func.Out[...], not {annotation!r}."
        )
    if binding.direction == "in" and is_out:
        raise FunctionLoadError(name, f"'{binding.name}' is an input, so it cannot be annotated func.Out.")
    # An exact `str` or `bytes` switches to the generic converter: `msg: str` gets a queue message's raw text.
    generic = pytype in (str, bytes) and not has_implicit_output(binding.type)
    converter = converter_for("generic" if generic else binding.type)
    check = converter.check_output_type_annotation if is_out else converter.check_input_type_annotation
    if not _accepts(check, pytype):
        raise FunctionLoadError(
            name,
            f"'{binding.name}' is bound to '{binding.type}', which does not go with the annotation {annotation!r}.",
        )
    return Parameter(binding, converter, pytype)


def _unwrap_out(name: str, parameter: str, annotation: Any) -> tuple[Any, bool]:
    origin = typing.get_origin(annotation) or annotation
    if not (isinstance(origin, type) and origin.__name__ == "Out"):
        return annotation, False
    arguments = typing.get_args(annotation)
    if len(arguments) != 1:
        raise FunctionLoadError(
            name, f"'{parameter}' is annotated {annotation!r}: func.Out takes one type, func.Out[str]."
        )
    return arguments[0], True


def _is_type(annotation: Any) -> bool:
    return isinstance(annotation, type) or typing_inspect.is_generic_type(annotation)


def _accepts(check: Callable[[Any], bool], pytype: Any) -> bool:
    try:
        return bool(check(pytype))
    except TypeError:  # issubclass() on what is not a class: List[str] where a plain type is wanted
        return False


def _returns(name: str, bindings: tuple[Binding, ...], annotations: dict[str, Any]) -> Parameter | None:
    explicit = next((binding for binding in bindings if binding.name == "$return"), None)
    if explicit is None:
        implicit = [binding for binding in bindings if has_implicit_output(binding.type)]
        if not implicit:
            return None
        return Parameter(implicit[-1], converter_for(implicit[-1].type), annotations.get("return"))
    if explicit.direction != "out":
        raise FunctionLoadError(name, "the binding named '$return' must have the direction 'out'.")
    converter = converter_for(explicit.type)
    if "return" in annotations:
        pytype = annotations["return"]
        if not isinstance(pytype, type) or not _accepts(converter.check_output_type_annotation, pytype):
            raise FunctionLoadError(
                name,
                f"its return annotation {pytype!r} does not go with the '{explicit.type}' binding of its return value.",
                "An HTTP function returns func.HttpResponse or str; leave the annotation out if in doubt.",
            )
    return Parameter(explicit, converter, annotations.get("return"))
