// /proc/PID/environ: the two variables by which a process says who it is. No other is looked at beyond
// its name, and nothing else is kept.
import { attributeValueCharactersMax, resourceAttributesMax } from '../limits.ts';

const serviceName = Buffer.from('OTEL_SERVICE_NAME=');
const resourceAttributes = Buffer.from('OTEL_RESOURCE_ATTRIBUTES=');

/** Attributes of the resource by OpenTelemetry's rules: OTEL_SERVICE_NAME wins over service.name. */
export function parseEnviron(bytes: Uint8Array): Map<string, string> {
  const service = variable(bytes, serviceName);
  const attributes = parseResourceAttributes(variable(bytes, resourceAttributes) ?? '');
  if (service !== null && service !== '') attributes.set('service.name', service.slice(0, attributeValueCharactersMax));
  return attributes;
}

/** The first variable of that name, as getenv finds it. */
function variable(bytes: Uint8Array, prefix: Buffer): string | null {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let at = buffer.indexOf(prefix); at >= 0; at = buffer.indexOf(prefix, at + 1)) {
    if (at > 0 && buffer[at - 1] !== 0) continue;
    const end = buffer.indexOf(0, at);
    return buffer.toString('utf8', at + prefix.length, end < 0 ? buffer.length : end);
  }
  return null;
}

/**
 * `key1=value1,key2=value2`, values percent-encoded. Any breach of the form drops the whole value, as
 * the specification asks for.
 */
export function parseResourceAttributes(text: string): Map<string, string> {
  const attributes = new Map<string, string>();
  if (text.trim() === '') return attributes;
  for (const pair of text.split(',')) {
    if (pair.trim() === '') continue;
    const equals = pair.indexOf('=');
    const key = decode(pair.slice(0, equals).trim());
    const value = decode(pair.slice(equals + 1).trim());
    if (equals <= 0 || key === null || key === '' || value === null || attributes.size >= resourceAttributesMax) return new Map();
    attributes.set(key.slice(0, attributeValueCharactersMax), value.slice(0, attributeValueCharactersMax));
  }
  return attributes;
}

function decode(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}
