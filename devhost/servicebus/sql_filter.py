"""SQL filters and actions of subscription rules, compiled from their text into functions of a message."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import uuid4

from lark import Token, Transformer, v_args
from lark.exceptions import VisitError

from devhost.servicebus.errors import ArgumentError
from devhost.servicebus.filters import FilterError, Value, comparable
from devhost.servicebus.sql_filter_grammar import parse, refusal
from devhost.servicebus.sql_filter_scope import SYSTEM_NAMES, WRITABLE_NAMES, Scope
from devhost.servicebus.sql_filter_values import INT64, as_condition, calculate, compare, is_in, is_like, negate

if TYPE_CHECKING:
    from devhost.servicebus.message import Message

_TOO_DEEP = "The SQL expression nests too deeply. Write it flatter: a AND b AND c needs no brackets."
_Statement = Callable[[Scope], None]
_FUNCTIONS = "newid(), property(name) and p(name)"


class SqlCondition:
    """The condition of an SQL filter."""

    def __init__(self, expression: str, parameters: Mapping[str, Value]) -> None:
        """Raises ArgumentError, with the position and a remedy, when the text is no condition."""
        self._parameters = _by_lower_name(parameters)
        compiler = _Compiler(expression, self._parameters)
        self._evaluate = compiler.condition_of(_compile(compiler, expression, "condition"))

    def holds(self, message: Message) -> bool:
        """Whether it is true of the message; unknown is not true. Raises FilterError."""
        try:
            return self._evaluate(Scope(message, self._parameters)) is True
        except RecursionError:
            raise FilterError(_TOO_DEEP) from None


class SqlActions:
    """The statements of an SQL action."""

    def __init__(self, expression: str, parameters: Mapping[str, Value]) -> None:
        """Raises ArgumentError, with the position and a remedy, when the text is no action."""
        self._parameters = _by_lower_name(parameters)
        self._statements = _compile(_Compiler(expression, self._parameters), expression, "actions")

    def apply(self, message: Message) -> Message:
        """The message after all statements, each of which sees what those before it did. Raises FilterError."""
        scope = Scope(message, self._parameters)
        try:
            for statement in self._statements:
                statement(scope)
        except RecursionError:
            raise FilterError(_TOO_DEEP) from None
        return scope.changed_message()


class _Property(NamedTuple):
    """`sys.Label`, `user.tag` or `tag`."""

    is_system: bool
    name: str
    """In lower case when it is a system property."""

    def read(self, scope: Scope) -> Any:
        return scope.system(self.name) if self.is_system else scope.user(self.name)

    def write(self, scope: Scope, value: Any) -> None:
        if self.is_system:
            scope.set_system(self.name, value)
        else:
            scope.set_user(self.name, value)


class _Node(NamedTuple):
    """A part of an expression: what works it out, where it begins, and what it is known to give."""

    evaluate: Callable[[Scope], Any]
    position: int
    gives: str
    """"condition", "value", or "either" for what only a message can tell."""


@v_args(inline=True, meta=True)
class _Compiler(Transformer):
    """Makes functions of a scope out of a tree, from its leaves up."""

    def __init__(self, text: str, parameters: Mapping[str, Value]) -> None:
        super().__init__()
        self._text = text
        self._parameters = parameters

    def condition_of(self, node: _Node) -> Callable[[Scope], bool | None]:
        """The part as something that is true, false or unknown."""
        if node.gives == "condition":
            return node.evaluate
        if node.gives == "value":
            raise refusal(self._text, node.position, "a condition must stand here, not a value")
        return lambda scope: as_condition(node.evaluate(scope))

    def value_of(self, node: _Node) -> Callable[[Scope], Any]:
        """The part as something to compare or to calculate with."""
        if node.gives == "condition":
            raise refusal(self._text, node.position, "a value must stand here, not a condition")
        return node.evaluate

    # Conditions

    def either(self, meta: Any, left: _Node, right: _Node) -> _Node:
        one, other = self.condition_of(left), self.condition_of(right)

        def evaluate(scope: Scope) -> bool | None:
            first = one(scope)
            second = first or other(scope)
            return True if second else None if first is None or second is None else False

        return _Node(evaluate, meta.start_pos, "condition")

    def both(self, meta: Any, left: _Node, right: _Node) -> _Node:
        one, other = self.condition_of(left), self.condition_of(right)

        def evaluate(scope: Scope) -> bool | None:
            first = one(scope)
            if first is False:
                return False
            second = other(scope)
            return False if second is False else None if first is None or second is None else True

        return _Node(evaluate, meta.start_pos, "condition")

    def negate(self, meta: Any, node: _Node) -> _Node:
        inner = self.condition_of(node)
        return _Node(lambda scope: negate(inner(scope)), meta.start_pos, "condition")

    def compare(self, meta: Any, left: _Node, sign: Token, right: _Node) -> _Node:
        one, other, sign = self.value_of(left), self.value_of(right), str(sign)
        return _Node(lambda scope: compare(sign, one(scope), other(scope)), meta.start_pos, "condition")

    def is_null(self, meta: Any, node: _Node) -> _Node:
        inner = self.value_of(node)
        return _Node(lambda scope: inner(scope) is None, meta.start_pos, "condition")

    def is_not_null(self, meta: Any, node: _Node) -> _Node:
        inner = self.value_of(node)
        return _Node(lambda scope: inner(scope) is not None, meta.start_pos, "condition")

    def exists(self, meta: Any, property: _Property) -> _Node:
        return _Node(lambda scope: property.read(scope) is not None, meta.start_pos, "condition")

    def is_in(self, meta: Any, left: _Node, *items: _Node) -> _Node:
        inner, values = self.value_of(left), [self.value_of(item) for item in items]
        return _Node(lambda scope: is_in(inner(scope), [value(scope) for value in values]), meta.start_pos, "condition")

    def is_not_in(self, meta: Any, left: _Node, *items: _Node) -> _Node:
        return self.negate(meta, self.is_in(meta, left, *items))

    def like(self, meta: Any, text: _Node, pattern: _Node, escape: _Node | None) -> _Node:
        inner, wanted = self.value_of(text), self.value_of(pattern)
        sign = self.value_of(escape) if escape else lambda scope: None
        return _Node(lambda scope: is_like(inner(scope), wanted(scope), sign(scope)), meta.start_pos, "condition")

    def not_like(self, meta: Any, text: _Node, pattern: _Node, escape: _Node | None) -> _Node:
        return self.negate(meta, self.like(meta, text, pattern, escape))

    # Values

    def calculate(self, meta: Any, left: _Node, sign: Token, right: _Node) -> _Node:
        one, other, sign = self.value_of(left), self.value_of(right), str(sign)
        return _Node(lambda scope: calculate(sign, one(scope), other(scope)), meta.start_pos, "value")

    def sign(self, meta: Any, sign: Token, node: _Node) -> _Node:
        inner, sign = self.value_of(node), str(sign)
        return _Node(lambda scope: calculate(sign, 0, inner(scope)), meta.start_pos, "value")

    def integer(self, meta: Any, text: Token) -> _Node:
        return self._number(meta, int(text))

    def hexadecimal(self, meta: Any, text: Token) -> _Node:
        return self._number(meta, int(text, 16))

    def decimal(self, meta: Any, text: Token) -> _Node:
        return _constant(meta, float(text))

    def string(self, meta: Any, text: Token) -> _Node:
        return _constant(meta, text[1:-1].replace("''", "'"))

    def true(self, meta: Any) -> _Node:
        return _Node(lambda scope: True, meta.start_pos, "either")

    def false(self, meta: Any) -> _Node:
        return _Node(lambda scope: False, meta.start_pos, "either")

    def null(self, meta: Any) -> _Node:
        return _constant(meta, None)

    def parameter(self, meta: Any, name: Token) -> _Node:
        key = name.lower()
        if key not in self._parameters:
            known = ", ".join(self._parameters) or "there are none"
            raise refusal(self._text, meta.start_pos, f"the rule has no parameter {name} ({known})")
        return _Node(lambda scope: scope.parameters[key], meta.start_pos, "either")

    def call(self, meta: Any, name: Token, *given: _Node | None) -> _Node:
        arguments = [argument for argument in given if argument is not None]
        match name.lower(), arguments:
            case "newid", []:
                return _Node(lambda scope: uuid4(), meta.start_pos, "value")
            case "property" | "p", [argument]:
                return self._named(meta, self.value_of(argument))
        raise refusal(self._text, meta.start_pos, f"there is no such function; there are {_FUNCTIONS}")

    def _named(self, meta: Any, name: Callable[[Scope], Any]) -> _Node:
        def evaluate(scope: Scope) -> Any:
            wanted = name(scope)
            if wanted is not None and not isinstance(wanted, str):
                raise FilterError(f"property() needs a name, not {wanted!r}.")
            return None if wanted is None else scope.user(wanted)

        return _Node(evaluate, meta.start_pos, "either")

    def _number(self, meta: Any, number: int) -> _Node:
        if number not in INT64:
            raise refusal(self._text, meta.start_pos, "the number does not fit into 64 bits")
        return _constant(meta, number)

    # Properties

    def read(self, meta: Any, property: _Property) -> _Node:
        return _Node(property.read, meta.start_pos, "either")

    def property(self, meta: Any, name: str) -> _Property:
        return _Property(False, str(name))

    def scoped(self, meta: Any, scope: Token, name: str) -> _Property:
        match scope.lower():
            case "user":
                return _Property(False, str(name))
            case "sys" if name.lower() in SYSTEM_NAMES:
                return _Property(True, name.lower())
            case "sys":
                raise refusal(self._text, meta.start_pos, f"a message has no system property {name}")
        raise refusal(self._text, meta.start_pos, f"a property is sys.{name} or user.{name}")

    def delimited(self, meta: Any, text: Token) -> str:
        return text[1:-1].replace("]]", "]")

    def quoted(self, meta: Any, text: Token) -> str:
        return text[1:-1].replace('""', '"')

    # Actions

    def actions(self, meta: Any, *statements: _Statement) -> tuple[_Statement, ...]:
        return statements

    def set_property(self, meta: Any, property: _Property, sign: Token, node: _Node) -> _Statement:
        if sign != "=":
            raise refusal(self._text, sign.start_pos, "SET needs '='")
        self._check_writable(meta, property)
        value = node.evaluate
        return lambda scope: property.write(scope, value(scope))

    def remove_property(self, meta: Any, property: _Property) -> _Statement:
        self._check_writable(meta, property)
        return lambda scope: property.write(scope, None)

    def _check_writable(self, meta: Any, property: _Property) -> None:
        if property.is_system and property.name not in WRITABLE_NAMES:
            raise refusal(self._text, meta.start_pos, f"an action cannot change sys.{property.name}")


def _constant(meta: Any, value: Any) -> _Node:
    return _Node(lambda scope: value, meta.start_pos, "value")


def _compile(compiler: _Compiler, text: str, start: str) -> Any:
    try:
        return compiler.transform(parse(text, start))
    except VisitError as error:
        raise error.orig_exc from None
    except RecursionError:
        raise ArgumentError(_TOO_DEEP) from None


def _by_lower_name(parameters: Mapping[str, Value]) -> dict[str, Value]:
    return {f"@{name.removeprefix('@').lower()}": comparable(value) for name, value in parameters.items()}
