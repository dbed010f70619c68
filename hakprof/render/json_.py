"""Reports as JSON documents, and back. docs/json.md describes every field."""

import json

from hakprof import records
from hakprof.errors import InputError
from hakprof.report import SCHEMA, Report


def render(record: object) -> str:
    """The document of a report, listing or comparison, indented, ending in a newline."""
    return json.dumps(records.to_json(record), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def parse(text: str) -> Report:
    """The report of a document. InputError if it is none, or one of another version."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"no JSON document: {error}") from error
    schema = data.get("schema") if isinstance(data, dict) else None
    if schema != SCHEMA:
        raise InputError(
            f"the document has schema {schema!r}, not {SCHEMA!r}",
            advice="read it with the hakprof that wrote it",
        )
    return records.from_json(Report, data)
