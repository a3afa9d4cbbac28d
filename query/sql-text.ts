// Values as SQL literals, for statements that cannot take parameters (views, file lists, settings).

export function sqlString(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

export const sqlList = (texts: readonly string[]): string => `[${texts.map(sqlString).join(', ')}]`;
