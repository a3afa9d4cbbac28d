// A flame graph as one HTML file: no other file, no network, its own script and style pinned by hash,
// so that a name from a hostile process can be shown but never run.
import { createHash } from 'node:crypto';
import type { FlameGraph } from '../flamegraph.ts';
import { webFile } from '../web-files.ts';
import { escapeMarkup } from './escape.ts';
import { graphTitle } from './title.ts';

export function flameGraphHtml(graph: FlameGraph): string {
  const script = standaloneScript();
  const style = `${webFile('flame.css')}${webFile('standalone.css')}`;
  const title = escapeMarkup(graphTitle(graph));
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${standalonePolicy()}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title>
<style>${style}</style>
</head>
<body>
<header>
<h1>${title}</h1>
<div id="path"></div>
<button type="button" id="reset" hidden>Zoom out</button>
<button type="button" id="turn">Turn over</button>
<label>Search <input id="search" type="search" spellcheck="false"></label>
<span id="found" aria-live="polite"></span>
<div id="legend"></div>
</header>
<div id="flame"></div>
<script type="application/json" id="graph">${scriptData(graph)}</script>
<script type="module">${script}</script>
</body>
</html>
`;
}

/** For the header of an answer and for the file itself. */
export function standalonePolicy(): string {
  const style = `${webFile('flame.css')}${webFile('standalone.css')}`;
  return `default-src 'none'; script-src '${hashSource(standaloneScript())}'; style-src '${hashSource(style)}'; base-uri 'none'; form-action 'none'`;
}

/** The modules one after another; their imports of each other go away, their exports do no harm. */
function standaloneScript(): string {
  const modules = ['palette.mjs', 'words.mjs', 'flame.mjs', 'standalone.mjs'].map((name) => webFile(name));
  return modules.map((text) => text.replace(/^import [^;]*;\n/gm, '')).join('\n');
}

const hashSource = (text: string) => `sha256-${createHash('sha256').update(text).digest('base64')}`;

/** JSON inside a script element: '<' never appears, so neither can an end tag nor a comment. */
function scriptData(value: unknown): string {
  return JSON.stringify(value).replaceAll('<', '\\u003c').replaceAll('\u2028', '\\u2028').replaceAll('\u2029', '\\u2029');
}
