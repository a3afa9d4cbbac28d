// Colours of frames, for the page, the standalone file and the SVG alike: the hue says what kind of
// code it is, grey that it has no name, and a small shift of lightness tells neighbours apart.

/**
 * Hue and saturation by profile.frame.type.
 * @type {Map<string, [number, number]>}
 */
const kinds = new Map([
  ['kernel', [8, 78]],
  ['native', [38, 88]],
  ['rust', [24, 82]],
  ['go', [190, 62]],
  ['jvm', [145, 48]],
  ['v8js', [88, 50]],
  ['cpython', [212, 66]],
  ['ruby', [340, 60]],
  ['php', [258, 55]],
  ['perl', [168, 45]],
  ['dotnet', [284, 48]],
  ['beam', [318, 48]],
  ['luajit', [228, 60]],
]);

/** What the legend shows, in this order, where a graph has it. */
export const kindNames = [...kinds.keys()];

/**
 * @param {string} kind profile.frame.type, '' where it is not known
 * @param {string} label
 * @param {boolean} named
 * @param {string} role
 */
export function frameColor(kind, label, named, role) {
  if (role === 'root') return 'hsl(220, 14%, 78%)';
  if (role === 'group') return `hsl(220, ${16 + (hash(label) % 10)}%, ${70 + (hash(label) % 7)}%)`;
  if (role === 'cut') return 'hsl(350, 55%, 80%)';
  if (role === 'note') return 'hsl(220, 8%, 84%)';
  const [hue, saturation] = kinds.get(kind) ?? [52, 40];
  const shift = hash(label) % 13;
  return named ? `hsl(${hue + (shift % 5) - 2}, ${saturation}%, ${62 + shift}%)` : `hsl(${hue}, 14%, ${72 + (shift % 8)}%)`;
}

/** @param {string} text */
function hash(text) {
  let value = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) value = Math.imul(value ^ text.charCodeAt(index), 0x01000193);
  return value >>> 1;
}
