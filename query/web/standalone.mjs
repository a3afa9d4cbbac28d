// What starts a flame graph that was saved as one HTML file: its data lies beside it in the file.
import { FlameView } from './flame.mjs';
import { formatShare } from './words.mjs';

const graph = JSON.parse(document.getElementById('graph')?.textContent ?? '{}');
/** @template {HTMLElement} T @param {string} id @returns {T} */
const byId = (id) => /** @type {T} */ (document.getElementById(id));
const reset = byId('reset');
const path = byId('path');
let turned = false;

const view = new FlameView(byId('flame'), {
  onZoom: (labels) => {
    path.textContent = labels.replaceAll(';', ' › ');
    reset.hidden = labels === '';
  },
});
view.setGraph(graph);
reset.addEventListener('click', () => view.zoom(0));
byId('turn').addEventListener('click', () => {
  turned = !turned;
  view.setOrientation(turned ? 'icicle' : 'flame');
});
byId('search').addEventListener('input', (event) => {
  const found = view.setSearch(/** @type {HTMLInputElement} */ (event.target).value);
  byId('found').textContent = found === null ? '' : found.value === 0 ? 'not found' : `${formatShare(found.value, graph.total)} found`;
});
addEventListener('keydown', (event) => {
  if (event.key !== '/' || event.target instanceof HTMLInputElement) return;
  event.preventDefault();
  byId('search').focus();
});
for (const { kind, color } of view.legend()) {
  const entry = document.createElement('span');
  const box = document.createElement('i');
  box.style.background = color;
  entry.append(box, kind);
  byId('legend').append(entry);
}
