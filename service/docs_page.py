"""The page at /docs: the API described, and a form to try it. One file, no script from elsewhere.

FastAPI's own page loads its scripts from a content delivery network, and so stays white on a machine
without internet; this one works wherever the service does.
"""

from __future__ import annotations

import json
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
  const out = document.getElementById("answer");
  out.textContent = "…";
  try {
    const start = performance.now();
    const answer = await fetch("predict", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: document.getElementById("body").value,
    });
    const text = JSON.stringify(await answer.json(), null, 2);
    out.textContent = `${answer.status} in ${(performance.now() - start).toFixed(0)} ms\\n${text}`;
  } catch (error) {
    out.textContent = String(error);
  }
});
"""


def docs_page(document: dict[str, Any]) -> str:
    """HTML for an OpenAPI document made by `openapi.describe`."""
    info = document["info"]
    schemas = document["components"]["schemas"]
    parts = [
        f"<h1>{escape(info['title'])}</h1>",
        f"<p>{escape(info['description'])} Version <code>{escape(info['version'])}</code>.",
        ' <a href="openapi.json">openapi.json</a></p>',
    ]
    if "Instance" in schemas:
        parts += [_try(schemas["Request"]["examples"][0]), _features(schemas["Instance"])]
    parts.append(_paths(document["paths"]))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<link rel="icon" href="data:,">'
        f"<title>{escape(info['title'])}: API</title><style>{_STYLE}</style></head>"
        f"<body>{''.join(parts)}</body></html>"
    )


def _try(example: dict[str, Any]) -> str:
    text = escape(json.dumps(example, indent=2, ensure_ascii=False))
    return (
        '<h2>Try it</h2><form id="try"><label for="body"><code>POST /predict</code></label>'
        f'<textarea id="body" rows="22" spellcheck="false">{text}</textarea>'
        '<button>Send</button></form><pre id="answer" aria-live="polite">The answer comes here.</pre>'
        f"<script>{_SCRIPT}</script>"
    )


def _features(instance: dict[str, Any]) -> str:
    rows = [
        f"<tr><td><code>{escape(name)}</code></td><td>{escape(schema['description'])}</td>"
        f"<td>{escape(_type(schema))}</td><td>{escape(_range(schema))}</td></tr>"
        for name, schema in instance["properties"].items()
    ]
    return (
        '<h2>Features of an instance</h2><div class="scroll"><table><thead><tr><th>Name</th>'
        f"<th>Meaning</th><th>Type</th><th>Taken</th></tr></thead><tbody>{''.join(rows)}"
        "</tbody></table></div>"
    )


def _paths(paths: dict[str, Any]) -> str:
    rows = [
        f"<tr><td><code>{escape(method.upper())} {escape(path)}</code></td>"
        f"<td>{escape(operation['summary'])}</td>"
        f"<td>{escape(', '.join(operation['responses']))}</td></tr>"
        for path, operations in paths.items()
        for method, operation in operations.items()
    ]
    return (
        '<h2>Paths</h2><div class="scroll"><table><thead><tr><th>Path</th><th>What for</th>'
        f"<th>Answers</th></tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _type(schema: dict[str, Any]) -> str:
    kind = schema["type"]
    return f"{kind[0]}, may be null" if isinstance(kind, list) else str(kind)


def _range(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return ", ".join(str(value) for value in schema["enum"] if value is not None)
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is None and high is None:
        return "any"
    return f"{'' if low is None else f'{low:g}'} … {'' if high is None else f'{high:g}'}".strip()
