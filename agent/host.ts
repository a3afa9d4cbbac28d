// host.id and host.name by OpenTelemetry's conventions, and what the agent's own environment says of
// the resource (OTEL_RESOURCE_ATTRIBUTES), which wins.
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';

/** In the order of the conventions; the last differs after each boot, which is better than no id at all. */
const idFiles = ['/etc/machine-id', '/var/lib/dbus/machine-id', '/sys/class/dmi/id/product_uuid', '/proc/sys/kernel/random/boot_id'];

export function hostAttributes(own: Readonly<Record<string, string>>): Map<string, string> {
  const attributes = new Map<string, string>([['host.name', hostname()]]);
  const id = idFiles.map(readId).find((found) => found !== '');
  if (id !== undefined) attributes.set('host.id', id);
  for (const [key, value] of Object.entries(own)) {
    // What tells processes apart is theirs alone.
    if (!key.startsWith('process.') && !key.startsWith('service.')) attributes.set(key, value);
  }
  return attributes;
}

function readId(path: string): string {
  try {
    const id = readFileSync(path, 'latin1').trim().toLowerCase();
    return /^[0-9a-f-]{16,64}$/.test(id) ? id : '';
  } catch {
    return '';
  }
}
