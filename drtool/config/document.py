"""YAML with the line of every key, and nothing that a configuration has no use for.

Text, whole and decimal numbers, true and false, null, lists and mappings with text keys; anchors and aliases work.
Duplicate keys, other tags and aliases to oneself are problems.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import yaml

from drtool.config.problems import KeyPath, Problem

_TAG = "tag:yaml.org,2002:"
#: Dates are text here: nothing in a configuration is a date, but a database may be called 2024-01-01.
_TEXT_TAGS = {_TAG + "str", _TAG + "timestamp", _TAG + "merge", _TAG + "value"}
_PLAIN_TAGS = {_TAG + "int", _TAG + "float", _TAG + "bool", _TAG + "null"}

OnText = Callable[[str, KeyPath], str]
"""Called with each text value and where it stands; raises ``ValueError`` with a sentence where it will not do."""


@dataclass(slots=True)
class Document:
    """A file's content as plain values, with the line of each key and list item, and what is wrong with it."""

    content: Any = None
    lines: dict[KeyPath, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def line_of(self, key: KeyPath) -> int:
        """The line of `key`, or of the innermost place around it that the file has."""
        return self.lines.get(self.known_part(key), 1)

    def known_part(self, key: KeyPath) -> KeyPath:
        """The longest beginning of `key` that stands in the file."""
        while key and key not in self.lines:
            key = key[:-1]
        return key


def parse(text: str, on_text: OnText) -> Document:
    """Read one YAML document; each text value is passed through `on_text`. Never raises: see ``problems``."""
    document = Document()
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        if root is not None:
            document.content = _Builder(document, on_text).build(root, ())
    except yaml.YAMLError as error:
        document.problems.append(_syntax_problem(text, error))
    except RecursionError:
        document.problems.append(Problem(1, (), "lists or mappings within each other, too many to be read"))
    return document


def _syntax_problem(text: str, error: yaml.YAMLError) -> Problem:
    if isinstance(error, yaml.composer.ComposerError) and "alias" in (error.problem or ""):
        # The parser's own words hold the alias, which may be a password that begins with an asterisk.
        message = "an alias without an anchor; text that begins with * or & must be in quotes"
    elif isinstance(error, yaml.MarkedYAMLError):
        message = ", ".join(part for part in (error.context, error.problem) if part)
    elif isinstance(error, yaml.reader.ReaderError):
        before = text[: error.position]
        column = error.position - (before.rfind("\n") + 1) + 1
        return Problem(before.count("\n") + 1, (), "a control character, which YAML does not allow", column)
    else:
        return Problem(1, (), "not YAML")
    mark = error.problem_mark or error.context_mark
    if mark is None:
        return Problem(1, (), f"not YAML: {message}")
    return Problem(mark.line + 1, (), f"not YAML: {message}", mark.column + 1)


class _Builder:
    """Turns nodes into values while it notes lines and problems."""

    def __init__(self, document: Document, on_text: OnText) -> None:
        self._document = document
        self._on_text = on_text
        self._scalars = yaml.constructor.SafeConstructor()
        self._open: list[yaml.Node] = []

    def build(self, node: yaml.Node, key: KeyPath) -> Any:
        if any(node is outer for outer in self._open):
            self._complain(node, key, "contains itself")
            return None
        self._open.append(node)
        try:
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node, key)
            if isinstance(node, yaml.SequenceNode):
                return self._sequence(node, key)
            return self._scalar(node, key)
        finally:
            self._open.pop()

    def _mapping(self, node: yaml.MappingNode, key: KeyPath) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for name_node, value_node in node.value:
            if not isinstance(name_node, yaml.ScalarNode):
                self._complain(name_node, key, "a key must be text")
                continue
            name = str(name_node.value)
            inner = (*key, name)
            if name in values:
                self._complain(name_node, inner, f"given twice (first on line {self._document.lines[inner]})")
                continue
            self._document.lines[inner] = name_node.start_mark.line + 1
            values[name] = self.build(value_node, inner)
        return values

    def _sequence(self, node: yaml.SequenceNode, key: KeyPath) -> list[Any]:
        values: list[Any] = []
        for position, item in enumerate(node.value):
            inner = (*key, position)
            self._document.lines[inner] = item.start_mark.line + 1
            values.append(self.build(item, inner))
        return values

    def _scalar(self, node: yaml.Node, key: KeyPath) -> Any:
        if node.tag in _TEXT_TAGS:
            try:
                return self._on_text(str(node.value), key)
            except ValueError as error:
                self._complain(node, key, str(error))
                return node.value
        if node.tag in _PLAIN_TAGS:
            try:
                return self._scalars.construct_object(node)
            except ValueError:
                self._complain(node, key, "not a number")
                return None
        self._complain(node, key, "YAML tags have no meaning here")
        return None

    def _complain(self, node: yaml.Node, key: KeyPath, message: str) -> None:
        self._document.problems.append(Problem(node.start_mark.line + 1, key, message))
