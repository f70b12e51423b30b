"""DynamoDB for the two tables: conditional PartiQL statements, strong and eventually consistent reads.

It accepts what the system sends and nothing else: an unknown statement or expression fails the simulation.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal

Item = dict[str, Any]
EntryFault = Literal["not applied", "applied"]
"""A failed entry of a batch: DynamoDB's InternalServerError leaves open whether the write was made."""

MAX_STATEMENTS = 25
MAX_KEYS = 100

_INSERT = re.compile(r'INSERT INTO "([^"]+)" VALUE \{(.*)\}')
_UPDATE = re.compile(r'UPDATE "([^"]+)" SET (.*) WHERE (.*)')
_REMOVE = re.compile(r'UPDATE "([^"]+)" REMOVE "(\w+)" WHERE (.*)')
_TERM = re.compile(r"(#\w+) (=|<|BETWEEN) (:\w+)(?: AND (:\w+))?")


class Invalid(Exception):
    """The call is answered with a ValidationException."""


class ConditionFailed(Exception):
    """The condition of an UpdateItem does not hold."""


@dataclass
class Table:
    """`versions` has every version of each item, with the time at which it was written, in seconds."""

    name: str
    key: str
    versions: dict[str, list[tuple[float, Item]]] = field(default_factory=dict)

    def read(self, key: str, *, at: float | None = None) -> Item | None:
        """Return the newest version, or the one that was the newest at a time."""
        found = self.versions.get(key, [])
        if at is not None:
            found = [version for version in found if version[0] <= at]
        return dict(found[-1][1]) if found else None

    def items(self, *, at: float) -> list[Item]:
        return [item for key in self.versions if (item := self.read(key, at=at)) is not None]


OnWrite = Callable[[str, Item], None]
"""Called with the table's name and the new version of an item."""


class SimulatedDynamoDb:
    """`clock` returns seconds. `replica_lag` returns the seconds by which an eventually consistent read is late."""

    def __init__(
        self,
        tables: Iterable[Table],
        *,
        clock: Callable[[], float],
        replica_lag: Callable[[], float],
        on_write: OnWrite,
    ) -> None:
        self.tables = {table.name: table for table in tables}
        self._clock = clock
        self._replica_lag = replica_lag
        self._on_write = on_write

    def invoke(
        self, operation: str, members: Mapping[str, Any], faults: Mapping[int, EntryFault]
    ) -> dict[str, Any]:
        """Execute an operation. `faults` are the entries of a batch that fail, by position."""
        match operation:
            case "BatchExecuteStatement":
                return self._execute_batch(members["Statements"], faults)
            case "BatchGetItem":
                return self._get_batch(members["RequestItems"], faults)
            case "UpdateItem":
                return self._update_item(members)
            case "Scan":
                return self._scan(members)
            case "Query":
                return self._query(members)
        raise AssertionError(f"the simulation has no dynamodb:{operation}")

    def _execute_batch(
        self, statements: list[Any], faults: Mapping[int, EntryFault]
    ) -> dict[str, Any]:
        keys = [_statement_key(each["Statement"], each["Parameters"]) for each in statements]
        if len(statements) > MAX_STATEMENTS or len(set(keys)) < len(keys):
            raise Invalid("too many statements, or two of them for one item")
        responses: list[dict[str, Any]] = []
        for position, each in enumerate(statements):
            fault = faults.get(position)
            error = None
            if fault != "not applied":
                error = self._execute(each["Statement"], each["Parameters"])
            if fault is not None:
                error = "InternalServerError"
            responses.append({"Error": {"Code": error, "Message": ""}} if error else {})
        return {"Responses": responses}

    def _execute(self, text: str, parameters: list[Any]) -> str | None:
        """Execute one statement; return the code of its error."""
        verb, table_name, names, required, removed = _parse(text)
        table = self.tables[table_name]
        given = dict(zip(names, parameters, strict=False))
        if verb == "INSERT":
            if table.read(given[table.key]["S"]) is not None:
                return "DuplicateItem"
            self._write(table, given)
            return None
        conditions = dict(zip(required, parameters[len(names) :], strict=True))
        item = table.read(conditions[table.key]["S"])
        if item is None or any(item.get(name) != value for name, value in conditions.items()):
            return "ConditionalCheckFailed"
        changed = {**item, **given}
        if removed is not None:
            changed.pop(removed, None)
        self._write(table, changed)
        return None

    def _write(self, table: Table, item: Item) -> None:
        table.versions.setdefault(item[table.key]["S"], []).append((self._clock(), dict(item)))
        self._on_write(table.name, dict(item))

    def _get_batch(
        self, wanted: Mapping[str, Any], faults: Mapping[int, EntryFault]
    ) -> dict[str, Any]:
        pairs = [(name, key) for name, each in wanted.items() for key in each["Keys"]]
        distinct = {(name, str(key)) for name, key in pairs}
        if len(pairs) > MAX_KEYS or len(distinct) < len(pairs):
            raise Invalid("too many keys, or one of them twice")
        found: dict[str, list[Item]] = {name: [] for name in wanted}
        left: dict[str, Any] = {}
        for position, (name, key) in enumerate(pairs):
            if position in faults:
                left.setdefault(name, {"Keys": []})["Keys"].append(key)
                continue
            consistent = wanted[name].get("ConsistentRead", False)
            at = None if consistent else self._clock() - self._replica_lag()
            item = self.tables[name].read(key[self.tables[name].key]["S"], at=at)
            if item is not None:
                found[name].append(item)
        return {"Responses": found, "UnprocessedKeys": left}

    def _update_item(self, members: Mapping[str, Any]) -> dict[str, Any]:
        table = self.tables[members["TableName"]]
        names, values = _bindings(members)
        item = table.read(members["Key"][table.key]["S"])
        if item is None or not _holds(members["ConditionExpression"], item, names, values):
            raise ConditionFailed
        sets, _, removes = members["UpdateExpression"].removeprefix("SET ").partition(" REMOVE ")
        for assignment in sets.split(", "):
            name, value = assignment.split(" = ")
            item[names[name]] = values[value]
        for name in filter(None, removes.split(", ")):
            item.pop(names[name], None)
        self._write(table, item)
        return {}

    def _scan(self, members: Mapping[str, Any]) -> dict[str, Any]:
        """Return all items in the first segment: the tables of a simulation fit into one page."""
        table = self.tables[members["TableName"]]
        if members["Segment"]:
            return _page([], scanned=0)
        lag = 0.0 if members.get("ConsistentRead") else self._replica_lag()
        items = table.items(at=self._clock() - lag)
        return _page(_filtered(items, members), scanned=len(items))

    def _query(self, members: Mapping[str, Any]) -> dict[str, Any]:
        """Read an index, which is eventually consistent. One page has all keys."""
        table = self.tables[members["TableName"]]
        names, values = _bindings(members)
        items = [
            item
            for item in table.items(at=self._clock() - self._replica_lag())
            if _holds(members["KeyConditionExpression"], item, names, values)
        ]
        return _page(_filtered(items, members), scanned=len(items))


def _page(items: list[Item], *, scanned: int) -> dict[str, Any]:
    return {"Items": items, "Count": len(items), "ScannedCount": scanned}


def _filtered(items: list[Item], members: Mapping[str, Any]) -> list[Item]:
    expression = members.get("FilterExpression")
    if expression is None:
        return items
    names, values = _bindings(members)
    return [item for item in items if _holds(expression, item, names, values)]


def _bindings(members: Mapping[str, Any]) -> tuple[Mapping[str, str], Mapping[str, Any]]:
    return members["ExpressionAttributeNames"], members["ExpressionAttributeValues"]


def _holds(
    expression: str, item: Item, names: Mapping[str, str], values: Mapping[str, Any]
) -> bool:
    """Evaluate terms that are joined by AND: equality, less than, and BETWEEN."""
    position = 0
    while position < len(expression):
        found = _TERM.match(expression, position)
        assert found is not None, f"the simulation cannot read {expression!r}"
        name, operator, value, upper = found.groups()
        if operator != "BETWEEN" and upper is not None:  # the AND joins the next term
            raise AssertionError(f"the simulation cannot read {expression!r}")
        position = found.end() + len(" AND ")
        if not _compare(item.get(names[name]), operator, values[value], values.get(upper or "")):
            return False
    return True


def _compare(stored: Any, operator: str, value: Any, upper: Any) -> bool:
    if stored is None:
        return False
    if operator == "=":
        return bool(stored == value)
    number = int(stored["N"])
    if operator == "<":
        return number < int(value["N"])
    return int(value["N"]) <= number <= int(upper["N"])


@lru_cache(maxsize=64)
def _parse(text: str) -> tuple[str, str, tuple[str, ...], tuple[str, ...], str | None]:
    """Return a statement's verb and table, and the attributes that it writes, requires and removes."""
    if found := _INSERT.fullmatch(text):
        return "INSERT", found[1], tuple(re.findall(r"'(\w+)': \?", found[2])), (), None
    if found := _REMOVE.fullmatch(text):
        return "UPDATE", found[1], (), _assigned(found[3]), found[2]
    found = _UPDATE.fullmatch(text)
    assert found is not None, f"the simulation cannot read {text!r}"
    return "UPDATE", found[1], _assigned(found[2]), _assigned(found[3]), None


def _assigned(text: str) -> tuple[str, ...]:
    return tuple(re.findall(r'"(\w+)"=\?', text))


def _statement_key(text: str, parameters: list[Any]) -> tuple[str, str]:
    """Return table and key. Every statement of the system has the key as its first attribute or condition."""
    verb, table, names, _, _ = _parse(text)
    return table, str(parameters[0 if verb == "INSERT" else len(names)])
