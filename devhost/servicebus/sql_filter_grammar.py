"""The grammar of SQL filters and actions as Microsoft documents it, and what is said of a text that is outside of it.

The parser is lark's: it is imported when the first SQL filter or action is met, which costs about 60 ms once.
"""

from __future__ import annotations

from functools import cache

from lark import Lark, Tree
from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken

from devhost.servicebus.errors import ArgumentError

MAX_LENGTH = 1024
"""Characters in a filter or an action (servicebus-amqp.md §11)."""

_GRAMMAR = r"""
?condition: conjunction | condition _OR conjunction -> either
?conjunction: negation | conjunction _AND negation -> both
?negation: predicate | _NOT negation -> negate
?predicate: sum
    | sum COMPARE sum -> compare
    | sum _IS _NULL -> is_null
    | sum _IS _NOT _NULL -> is_not_null
    | sum _IN _list -> is_in
    | sum _NOT _IN _list -> is_not_in
    | sum _LIKE sum [_ESCAPE sum] -> like
    | sum _NOT _LIKE sum [_ESCAPE sum] -> not_like
    | _EXISTS "(" property ")" -> exists
_list: "(" sum ("," sum)* ")"
?sum: product | sum SIGN product -> calculate
?product: signed | product SCALE signed -> calculate
?signed: operand | SIGN signed -> sign
?operand: property -> read
    | "(" condition ")"
    | INTEGER -> integer
    | HEX -> hexadecimal
    | DECIMAL -> decimal
    | STRING -> string
    | PARAMETER -> parameter
    | NAME "(" [sum ("," sum)*] ")" -> call
    | _TRUE -> true
    | _FALSE -> false
    | _NULL -> null
property: name | NAME "." name -> scoped
?name: NAME | DELIMITED -> delimited | QUOTED -> quoted

actions: (action (";" | ",")*)+
?action: _SET property COMPARE sum -> set_property
    | _REMOVE property -> remove_property

_AND.2: /AND\b/i
_OR.2: /OR\b/i
_NOT.2: /NOT\b/i
_IS.2: /IS\b/i
_IN.2: /IN\b/i
_LIKE.2: /LIKE\b/i
_ESCAPE.2: /ESCAPE\b/i
_EXISTS.2: /EXISTS\b/i
_NULL.2: /NULL\b/i
_TRUE.2: /TRUE\b/i
_FALSE.2: /FALSE\b/i
_SET.2: /SET\b/i
_REMOVE.2: /REMOVE\b/i
COMPARE: /<>|!=|<=|>=|=|<|>/
SIGN: /[+-]/
SCALE: /[*\/%]/
HEX.2: /0x[0-9a-f]+/i
DECIMAL.1: /(\d+\.\d*|\.\d+)(e[+-]?\d+)?|\d+e[+-]?\d+/i
INTEGER: /\d+/
STRING: /'([^']|'')*'/
QUOTED: /"([^"]|"")*"/
DELIMITED: /\[([^\]]|\]\])*\]/
PARAMETER: /@\w+/
NAME: /[^\W\d_]\w*/
%ignore /\s+/
"""
_EXPECTED = {
    "_AND": "AND",
    "_OR": "OR",
    "_NOT": "NOT",
    "_NULL": "NULL",
    "_IN": "IN",
    "_LIKE": "LIKE",
    "_SET": "SET",
    "_REMOVE": "REMOVE",
    "COMPARE": "a comparison",
    "STRING": "a value",
    "NAME": "a property",
    "LPAR": "'('",
    "RPAR": "')'",
    "$END": "its end",
}
_REMEDY = (
    "Texts stand in 'single quotes', names that are keywords or hold other signs in [brackets], "
    "and names of the message's own properties begin with sys."
)


def parse(text: str, start: str) -> Tree:
    """The tree of a text; `start` is "condition" or "actions".

    Raises ArgumentError, which says where the text is wrong and what to write instead.
    """
    if len(text) > MAX_LENGTH:
        raise ArgumentError(
            f"An SQL expression has {len(text)} characters, and {MAX_LENGTH} are the limit. "
            "Compare with IN instead of many ORs, or make several rules of it: a message that one of them takes passes."
        )
    try:
        return _parser(start).parse(text)
    except UnexpectedInput as error:
        raise refusal(text, _place(text, error), _reason(error)) from None


def refusal(text: str, position: int, reason: str) -> ArgumentError:
    """The error for a text that is wrong at `position`, counted from 0."""
    where = f"at position {position + 1}, '{text[position : position + 20]}'" if position < len(text) else "at its end"
    return ArgumentError(f"The SQL expression \"{text}\" cannot be used {where}: {reason}. {_REMEDY}")


@cache
def _parser(start: str) -> Lark:
    return Lark(_GRAMMAR, parser="lalr", lexer="basic", start=start, maybe_placeholders=True, propagate_positions=True)


def _place(text: str, error: UnexpectedInput) -> int:
    position = error.pos_in_stream
    return len(text) if position is None or position < 0 or _is_end(error) else position


def _is_end(error: UnexpectedInput) -> bool:
    return isinstance(error, UnexpectedToken) and error.token.type == "$END"


def _reason(error: UnexpectedInput) -> str:
    if isinstance(error, UnexpectedCharacters):
        return "this sign means nothing here, or a quote is not closed"
    expected = [word for name, word in _EXPECTED.items() if name in error.accepts] if error.accepts else []
    found = "it is not complete" if _is_end(error) else "this does not belong here"
    return f"{found}; {' or '.join(expected)} could stand here" if expected else found
