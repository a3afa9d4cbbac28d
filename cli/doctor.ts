// flamelake doctor: what this host can and cannot do, and what to do about it. Exit code 0 where
// nothing is missing.
import { checkRights } from '../agent/rights.ts';
import type { RunCommand } from './command.ts';
import { type Check, checkData, checkKernel, checkKernelNames, checkNode, checkOpenFiles, checkPorts } from './host-checks.ts';
import { print, printable } from './output.ts';

export const run: RunCommand = async ({ values }) => {
  const checks = [checkNode(), checkKernel(), checkKernelNames(), ...checkSampling(), checkData(values), ...(await checkPorts(values)), checkOpenFiles()];
  await print(values.json ? `${JSON.stringify(checks)}\n` : doctorText(checks));
  return checks.some(({ state }) => state === 'missing') ? 1 : 0;
};

/** A line for each thing that sampling lacks, or one that says that it lacks nothing. */
function checkSampling(): Check[] {
  const name = 'Sampling';
  const { missing, limited } = checkRights();
  const lacks = [
    ...missing.map(({ what, grant }): Check => ({ name, state: 'missing', found: `without ${what}`, advice: grant })),
    ...limited.map(({ what, grant }): Check => ({ name, state: 'limited', found: `without ${what}`, advice: grant })),
  ];
  return lacks.length > 0 ? lacks : [{ name, state: 'ok', found: 'kernel, BTF, libbpf and rights are as needed', advice: '' }];
}

export function doctorText(checks: readonly Check[]): string {
  const width = Math.max(...checks.map(({ name }) => name.length));
  const lines = checks.map(({ name, state, found, advice }, at) => {
    const line = `${state.padEnd(7)}  ${name.padEnd(width)}  ${printable(found)}\n`;
    // One remedy often helps against several lacks: it stands once, below the last of them.
    return advice === '' || checks[at + 1]?.advice === advice ? line : `${line}${' '.repeat(width + 11)}${printable(advice)}\n`;
  });
  return lines.join('');
}
