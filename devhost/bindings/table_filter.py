"""The filter of a table input: values from outside cannot change what it asks for (TableFilterFormatter.cs)."""

from __future__ import annotations

import re

from devhost.bindings.expressions import BindingExpression, BindingExpressionError

_LITERAL = re.compile(r"(?i:true|false)|[+-]?\d+(\.\d+)?(e[+-]?\d+)?", re.ASCII)


class TableFilter(BindingExpression):
    """`Name eq '{name}' and Age gt {age}`: between quotes anything goes, elsewhere only numbers, true and false.

    A filter that is nothing but `{name}` is taken from there as it is.
    """

    def _fill(self, position: int, value: str) -> str:
        before, (name, _), after = self._parts[position - 1 : position + 2]
        if before.endswith("'") and after.startswith("'"):
            return value.replace("'", "''")
        if self.text.strip() == f"{{{name}}}" or _LITERAL.fullmatch(value):
            return value
        raise BindingExpressionError(
            f"An invalid parameter value was specified for filter parameter '{name}'.",
            f"Write '{{{name}}}' with quotes if it is a text; without them it must be a number, true or false.",
        )
