"""Analysis of PromQL: the selectors of an expression and the labels of its result."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import promql_parser as ast

Labels = frozenset[str]
Series = Mapping[str, Labels]
"""Labels of each existing metric."""

# These functions use only the increase of a counter, not its value.
GROWTH = frozenset({"rate", "irate", "increase", "resets", "changes"})
_NEGATIVE = (ast.MatchOp.NotEqual, ast.MatchOp.NotRe)
_OFFSET = re.compile(r" offset \S+$")
_BARE = frozenset({"time", "vector", "scalar"})


class BadQuery(Exception):
    """An expression uses a metric or a label that does not exist; `str()` names it."""


@dataclass(frozen=True, slots=True)
class Selector:
    """A series selector. `within` is the innermost function around it. `text` has no range and no offset."""

    metric: str
    matchers: Mapping[str, str]
    within: str
    text: str
    excluded: Labels = frozenset()
    """The labels of which `matchers` has a value that is not selected."""


def selectors(expr: str) -> list[Selector]:
    """Return every series selector of an expression. Raises ValueError if it does not parse."""
    return list(_selectors(ast.parse(expr), ""))


def _selectors(node: ast.Expr, within: str) -> Iterator[Selector]:
    if isinstance(node, ast.VectorSelector):
        matchers = {matcher.name: matcher.value for matcher in node.matchers.matchers}
        text = _OFFSET.sub("", node.prettify().strip())
        excluded = frozenset(m.name for m in node.matchers.matchers if m.op in _NEGATIVE)
        yield Selector(node.name or "", matchers, within, text, excluded)
        return
    inner = node.func.name if isinstance(node, ast.Call) else within
    for child in _children(node):
        yield from _selectors(child, inner)


def _children(node: ast.Expr) -> list[ast.Expr]:
    match node:
        case ast.MatrixSelector():
            return [node.vector_selector]
        case ast.BinaryExpr():
            return [node.lhs, node.rhs]
        case ast.Call():
            return list(node.args)
        case ast.AggregateExpr() | ast.ParenExpr() | ast.UnaryExpr() | ast.SubqueryExpr():
            return [node.expr]
    return []


def labels(expr: str, known: Series) -> Labels:
    """Return the labels of the result. Raises BadQuery for a metric or a label that does not exist."""
    return _labels(ast.parse(expr), known)


def _labels(node: ast.Expr, known: Series) -> Labels:
    match node:
        case ast.VectorSelector():
            return _selected(node, known)
        case ast.AggregateExpr():
            return _aggregated(node, known)
        case ast.Call():
            return _called(node, known)
        case ast.BinaryExpr():
            return _combined(node, known)
    return frozenset().union(*(_labels(child, known) for child in _children(node)))


def _selected(node: ast.VectorSelector, known: Series) -> Labels:
    if node.name is None or node.name not in known:
        raise BadQuery(f"there is no metric {node.name}")
    has = known[node.name]
    for matcher in node.matchers.matchers:
        if matcher.name not in has:
            raise BadQuery(f"{node.name} has no label {matcher.name}")
    return has


def _aggregated(node: ast.AggregateExpr, known: Series) -> Labels:
    inner = _labels(node.expr, known)
    if node.modifier is None:
        return frozenset()
    named = frozenset(node.modifier.labels)
    if not named <= inner:
        raise BadQuery(f"{node.prettify().strip()} has no labels {sorted(named - inner)}")
    by = node.modifier.type == ast.AggModifierType.By
    return named if by else inner - named


def _called(node: ast.Call, known: Series) -> Labels:
    name = node.func.name
    inner: Labels = frozenset().union(*(_labels(each, known) for each in node.args))
    if name in _BARE:
        return frozenset()
    if name == "histogram_quantile":
        if "le" not in inner:
            raise BadQuery(f"no buckets: {node.prettify().strip()}")
        return inner - {"le"}
    if name == "label_replace":
        return inner | {_text(node.args[1])}
    return inner


def _text(node: ast.Expr) -> str:
    if not isinstance(node, ast.StringLiteral):
        raise BadQuery(f"not a string: {node.prettify()}")
    return node.val


def _combined(node: ast.BinaryExpr, known: Series) -> Labels:
    left, right = _labels(node.lhs, known), _labels(node.rhs, known)
    matching = node.modifier.matching if node.modifier else None
    if matching is not None:
        wanted = frozenset(matching.labels)
        for side in (left, right):
            if not wanted <= side:
                raise BadQuery(f"matched by {sorted(wanted - side)}: {node.prettify().strip()}")
    # A number has no labels, so the result has those of the other side.
    return left | right if not left or str(node.op) == "or" else left
