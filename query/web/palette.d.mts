export const kindNames: readonly string[];
export function frameColor(kind: string, label: string, named: boolean, role: string): string;
