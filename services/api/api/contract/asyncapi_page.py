"""CORE: the AsyncAPI document as a page to read: plain HTML, no scripts, nothing fetched."""

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any, Final

from deloton.showing import palette

_STYLE: Final = f"""
:root {{ color-scheme: light dark; --ink: {palette.INK}; --quiet: {palette.QUIET_INK};
  --paper: {palette.PANEL}; --card: {palette.PAPER}; --rule: {palette.RULE} }}
@media (prefers-color-scheme: dark) {{ :root {{ --ink: {palette.NIGHT_INK};
  --quiet: {palette.NIGHT_QUIET_INK}; --paper: {palette.NIGHT_PAPER};
  --card: {palette.NIGHT_PANEL}; --rule: {palette.NIGHT_RULE} }} }}
* {{ box-sizing: border-box }}
body {{ margin: 0; padding: 16px; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif }}
main {{ max-width: 60rem; margin: 0 auto }}
section {{ margin: 24px 0; padding: 4px 20px 16px; background: var(--card);
  border: 1px solid var(--rule); border-radius: 12px }}
h1 {{ font-size: 1.6rem }} h2 {{ font-size: 1.25rem }}
h3 {{ font-size: 1.05rem; margin: 24px 0 4px }}
a {{ color: inherit }} p {{ margin: 8px 0; max-width: 46rem }} .quiet {{ color: var(--quiet) }}
table {{ width: 100%; border-collapse: collapse; margin: 8px 0 }}
th, td {{ text-align: left; vertical-align: top; padding: 6px 12px 6px 0;
  border-top: 1px solid var(--rule) }}
pre {{ overflow-x: auto; padding: 12px; background: var(--paper); border-radius: 8px }}
code, pre {{ font: .88rem/1.45 ui-monospace, Menlo, Consolas, monospace }}
h2 code {{ font-size: 1.25rem }}
"""
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
HEADERS: Final = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; "
    "frame-ancestors 'self'; base-uri 'none'",
}


def render_page(document: Mapping[str, Any]) -> str:
    """The page of a document that `asyncapi_document` made."""
    info = document["info"]
    channels = "".join(_channel(document, name) for name in document["channels"])
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(info['title'])}</title><style>{_STYLE}</style></head><body><main>"
        f"<h1>{escape(info['title'])}</h1><p>{escape(info['description'])}</p>"
        '<p class="quiet">For programs: <a href="/asyncapi.json">/asyncapi.json</a>, AsyncAPI '
        f'{escape(document["asyncapi"])}. Over HTTP: <a href="/docs">/docs</a>.</p>'
        f"{channels}</main></body></html>\n"
    )


def _channel(document: Mapping[str, Any], name: str) -> str:
    channel = document["channels"][name]
    told = "".join(
        f"<p>{_marked(words)}</p>"
        for operation in document["operations"].values()
        if operation["channel"]["$ref"].endswith(f"/{name}")
        for words in (operation["summary"], operation.get("description"))
        if words
    )
    messages = "".join(_message(document, each) for each in channel["messages"])
    return (
        f'<section><h2 id="{escape(name)}"><code>{escape(channel["address"])}</code></h2>'
        f"<p>{_marked(channel['description'])}</p>{told}{messages}</section>"
    )


def _message(document: Mapping[str, Any], name: str) -> str:
    message = document["components"]["messages"][name]
    schema = _resolved(document, message["payload"])
    key = message["bindings"]["kafka"]["key"]["description"]
    return (
        f"<h3>{escape(message['title'])} <code>{escape(name)}</code></h3>"
        f"<p>{_marked(schema.get('description', ''))}</p>"
        f'<p class="quiet">Key: {escape(key)}</p>'
        + _table(document, "Header", message.get("headers", {}))
        + _table(document, "Field", schema)
        + _examples(message.get("examples", ()))
    )


def _table(document: Mapping[str, Any], what: str, schema: Mapping[str, Any]) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(name)}</code></td><td>{escape(_type(document, field))}</td>"
        f"<td>{'' if name in schema.get('required', ()) else 'optional. '}"
        f"{_marked(_resolved(document, field).get('description', ''))}</td></tr>"
        for name, field in schema.get("properties", {}).items()
    )
    head = f"<tr><th>{what}</th><th>Type</th><th>Meaning</th></tr>"
    return f"<table><thead>{head}</thead><tbody>{rows}</tbody></table>" if rows else ""


def _type(document: Mapping[str, Any], field: Mapping[str, Any]) -> str:
    """A type in words: `integer or null, 1 to 32767`."""
    schema = _resolved(document, field)
    if "anyOf" in schema:
        return " or ".join(_type(document, each) for each in schema["anyOf"])
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    bounds = [schema[name] for name in ("minimum", "maximum") if name in schema]
    words = schema.get("format") or schema.get("type", "anything")
    return f"{words}, {bounds[0]} to {bounds[1]}" if len(bounds) > 1 else str(words)


def _resolved(document: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    reference = schema.get("$ref")
    if reference is None:
        return schema
    found: Mapping[str, Any] = document["components"]["schemas"][reference.rsplit("/", 1)[-1]]
    return found


def _examples(examples: Iterable[Mapping[str, Any]]) -> str:
    return "".join(
        f"<pre>{escape(json.dumps(each['payload'], indent=2, ensure_ascii=False))}</pre>"
        for each in examples
    )


def _marked(words: str) -> str:
    """Words between backticks as code."""
    parts = escape(words).split("`")
    return "".join(f"<code>{part}</code>" if n % 2 else part for n, part in enumerate(parts))
