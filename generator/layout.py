"""Lays out JSON texts over several lines; strings and numbers stay as they are written."""

import re

from generator.options import Options

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')


def indented(document: str) -> str:
    """Returns a JSON text over several lines."""
    out = []
    depth = 0
    for token in _TOKEN.findall(document):
        if token in "}]":
            depth -= 1
            out.append("\n" + "  " * depth)
        out.append(token)
        if token in "{[":
            depth += 1
        if token in "{[,":
            out.append("\n" + "  " * depth)
        if token == ":":
            out.append(" ")
    return "".join(out)


def of_member(options: Options, value: str) -> str:
    """Returns the value of an event's member as it is delivered."""
    if options.framing != "pretty":
        return value
    return indented(value).replace("\n", "\r\n  " if options.crlf else "\n  ")
