// Who may ask: a bearer token for programs, a cookie for the page. The cookie is made from a token when
// a person has typed it in; it says when it ends and proves that its maker knew the token, which it
// neither contains nor gives away. It ends with its token, and needs no memory of the server.
import { createHmac, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Door } from '../lib/door/door.ts';
import { isAmong } from '../lib/door/tokens.ts';

/** A working week and the weekend after it; then the token is typed again. */
const sessionMillis = 7 * 24 * 3600 * 1000;

/** With __Host- a browser takes it only from this very host, with TLS. */
const cookieName = (door: Door): string => (door.tls === null ? 'flamelake' : '__Host-flamelake');

export function isAdmitted(door: Door, { headers }: IncomingMessage, nowMillis: number): boolean {
  if (!door.asksToken) return true;
  return headers.authorization === undefined ? hasSession(door, headers.cookie ?? '', nowMillis) : door.admits(headers.authorization);
}

/** The Set-Cookie header for whoever knows a token; null = this is none. */
export function openSession(door: Door, token: string, nowMillis: number): string | null {
  if (!isAmong(token, door.tokens())) return null;
  const endMillis = nowMillis + sessionMillis;
  return cookie(door, `${endMillis}.${proof(token, endMillis)}`, sessionMillis / 1000);
}

export const closeSession = (door: Door): string => cookie(door, '', 0);

function cookie(door: Door, value: string, seconds: number): string {
  return `${cookieName(door)}=${value}; Path=/; Max-Age=${seconds}; HttpOnly; SameSite=Strict${door.tls === null ? '' : '; Secure'}`;
}

function hasSession(door: Door, header: string, nowMillis: number): boolean {
  const start = `${cookieName(door)}=`;
  const value = header.split('; ').find((part) => part.startsWith(start));
  const [, digits, shown] = /^(\d{1,15})\.([A-Za-z0-9_-]{43})$/.exec(value?.slice(start.length) ?? '') ?? [];
  const endMillis = Number(digits);
  if (shown === undefined || !(endMillis > nowMillis)) return false;
  let found = false;
  for (const token of door.tokens()) found = timingSafeEqual(Buffer.from(shown), Buffer.from(proof(token, endMillis))) || found;
  return found;
}

/** 32 bytes as 43 characters. */
const proof = (token: string, endMillis: number): string => createHmac('sha256', token).update(`flamelake page until ${endMillis}`).digest('base64url');
