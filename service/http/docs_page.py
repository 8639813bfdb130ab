"""The page at /docs: the model's inputs, the paths, and a form that sends a request to /predict.

FastAPI's own page loads its scripts from a content delivery network, which needs internet access, and has an
inline script, which a strict Content-Security-Policy refuses. This page is one file, and its policy allows
nothing but its own style, its own script and requests to the service.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterable
from hashlib import sha256
from html import escape
from typing import Any, Final

_STYLE: Final = """
:root { color-scheme: light dark; --line: #8886; --soft: #8881; --link: #0969da }
@media (prefers-color-scheme: dark) { :root { --link: #6cb6ff } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 64rem; margin: 2rem auto; padding: 0 1rem }
h1 { margin-bottom: 0 } h2 { margin-top: 2.5rem } a { color: var(--link) }
table { border-collapse: collapse; width: 100%; font-size: .9rem }
th, td { text-align: left; vertical-align: top; padding: .35rem .7rem .35rem 0;
  border-bottom: 1px solid var(--line) }
code, pre, textarea { font: .85rem/1.45 ui-monospace, monospace }
pre, textarea { width: 100%; box-sizing: border-box; padding: .8rem; background: var(--soft);
  border: 1px solid var(--line); border-radius: 6px; overflow: auto; color: inherit }
button { font: inherit; padding: .4rem 1.2rem; margin: .5rem 0; border-radius: 6px; cursor: pointer;
  border: 1px solid var(--line) }
.scroll { overflow-x: auto } td:nth-child(2) { min-width: 14rem }
"""
_SCRIPT: Final = """
const form = document.getElementById("try");
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const out = document.getElementById("response");
  out.textContent = "…";
  try {
    const start = performance.now();
    const response = await fetch("predict", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: document.getElementById("body").value,
    });
    const text = JSON.stringify(await response.json(), null, 2);
    out.textContent = `${response.status} in ${(performance.now() - start).toFixed(0)} ms\\n${text}`;
  } catch (error) {
    out.textContent = String(error);
  }
});
"""


def _hash(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


CONTENT_SECURITY_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        f"script-src {_hash(_SCRIPT)}",
        f"style-src {_hash(_STYLE)}",
        "connect-src 'self'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)


def docs_page(document: dict[str, Any], example: dict[str, Any] | None) -> str:
    """HTML for the OpenAPI document of `openapi.describe`.

    The example has the order of the model's inputs, which the document does not keep.
    """
    info, schemas = document["info"], document["components"]["schemas"]
    parts = [
        f"<h1>{escape(info['title'])}</h1>",
        f"<p>{escape(info.get('description', ''))} Version <code>{escape(info['version'])}</code>.",
        ' <a href="openapi.json">openapi.json</a></p>',
    ]
    if example is not None:
        parts.append(_form({"instances": [example]}))
    if properties := schemas.get("Instance", {}).get("properties"):
        rows = (_input(name, schema) for name, schema in properties.items())
        parts.append(_table("Inputs of an instance", ("Name", "Meaning", "Type", "Accepted"), rows))
    parts.append(_paths(document["paths"]))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<link rel="icon" href="data:,">'
        f"<title>{escape(info['title'])}: API</title><style>{_STYLE}</style></head>"
        f"<body>{''.join(parts)}</body></html>"
    )


def _form(example: dict[str, Any]) -> str:
    text = escape(json.dumps(example, indent=2, ensure_ascii=False))
    return (
        '<h2>Try it</h2><form id="try"><label for="body"><code>POST /predict</code></label>'
        f'<textarea id="body" rows="22" spellcheck="false">{text}</textarea>'
        "<button>Send</button></form>"
        '<pre id="response" aria-live="polite">The response appears here.</pre>'
        f"<script>{_SCRIPT}</script>"
    )


def _input(name: str, schema: dict[str, Any]) -> tuple[str, ...]:
    """Name, meaning, type and accepted values of an input."""
    kind, *null = schema.get("anyOf", [schema])
    low, high = (f"{kind[end]:g}" if end in kind else "" for end in ("minimum", "maximum"))
    values = kind.get("enum", [kind["const"]] if "const" in kind else [])
    # What the values of a tensor may be is in its meaning.
    anything = "" if kind["type"] == "array" else "any"
    accepted = ", ".join(values) or (f"{low} … {high}".strip() if low or high else anything)
    type_name = f"{kind['type']}, may be null" if null else kind["type"]
    return f"<code>{escape(name)}</code>", *map(
        escape, (schema["description"], type_name, accepted)
    )


def _paths(paths: dict[str, Any]) -> str:
    rows = (
        (
            f"<code>{escape(method.upper())} {escape(path)}</code>",
            escape(operation["summary"]),
            ", ".join(operation["responses"]),
        )
        for path, operations in paths.items()
        for method, operation in operations.items()
    )
    return _table("Paths", ("Path", "Purpose", "Responses"), rows)


def _table(title: str, header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    head = "".join(f"<th>{name}</th>" for name in header)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return (
        f'<h2>{title}</h2><div class="scroll"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )
