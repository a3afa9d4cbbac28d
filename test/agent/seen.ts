// What messages of our agent say of one process, as a reader sees it: who it is, and for each sample its
// frames with all that is known of them.
import { fromBinary } from '@bufbuild/protobuf';
import { ProfilesDataSchema, type ProfilesDictionary } from '../../schemas/otlp/gen/opentelemetry/proto/profiles/v1development/profiles_pb.ts';

export interface SeenFrame {
  /** '' = none said. */
  readonly path: string;
  readonly address: bigint;
  readonly functions: readonly string[];
  /** Of the location and of its mapping. */
  readonly attributes: ReadonlyMap<string, unknown>;
}

export interface SeenSample {
  readonly resource: ReadonlyMap<string, unknown>;
  /** Leaf first; the marker of a cut is not among them. */
  readonly frames: readonly SeenFrame[];
  readonly cut: string | null;
  /** When it was sampled, Unix time. */
  readonly timesNanos: readonly bigint[];
}

export const gnuBuildId = 'process.executable.build_id.gnu';
export const goBuildId = 'process.executable.build_id.go';
export const htlHash = 'process.executable.build_id.htlhash';
const cutKey = 'flamelake.stack.cut';

/** Of one process, or of all. */
export function samplesOf(messages: Iterable<Uint8Array>, pid: number | null): SeenSample[] {
  const samples: SeenSample[] = [];
  for (const message of messages) {
    const { resourceProfiles, dictionary } = fromBinary(ProfilesDataSchema, message);
    const stacks = new Map<number, Pick<SeenSample, 'frames' | 'cut'>>();
    for (const { resource, scopeProfiles } of resourceProfiles) {
      const attributes = new Map(resource!.attributes.map(({ key, value }) => [key, value!.value.value as unknown]));
      if ((pid !== null && attributes.get('process.pid') !== BigInt(pid)) || attributes.get('service.name') === 'flamelake-agent') continue;
      for (const sample of scopeProfiles.flatMap(({ profiles }) => profiles.flatMap((profile) => profile.samples))) {
        const stack = stacks.get(sample.stackIndex) ?? readStack(dictionary!, sample.stackIndex);
        stacks.set(sample.stackIndex, stack);
        samples.push({ resource: attributes, ...stack, timesNanos: sample.timestampsUnixNano });
      }
    }
  }
  return samples;
}

function readStack(dictionary: ProfilesDictionary, index: number): Pick<SeenSample, 'frames' | 'cut'> {
  const { stringTable, attributeTable, mappingTable, locationTable, functionTable, stackTable } = dictionary;
  const attributesOf = (indices: readonly number[]) =>
    indices.map((at) => [stringTable[attributeTable[at]!.keyStrindex]!, attributeTable[at]!.value!.value.value as unknown] as const);
  const frames = stackTable[index]!.locationIndices.map((at): SeenFrame => {
    const location = locationTable[at]!;
    const mapping = mappingTable[location.mappingIndex]!;
    return {
      path: stringTable[mapping.filenameStrindex]!,
      address: location.address,
      functions: location.lines.map((line) => stringTable[functionTable[line.functionIndex]!.nameStrindex]!),
      attributes: new Map([...attributesOf(mapping.attributeIndices), ...attributesOf(location.attributeIndices)]),
    };
  });
  const cut = frames.at(-1)?.attributes.get(cutKey);
  return cut === undefined ? { frames, cut: null } : { frames: frames.slice(0, -1), cut: String(cut) };
}

export const isKernelFrame = ({ attributes }: SeenFrame): boolean => attributes.get('profile.frame.type') === 'kernel';

/** Where user space was: the first frame that is not the kernel's. */
export const userLeaf = ({ frames }: SeenSample): SeenFrame | undefined => frames.find((frame) => !isKernelFrame(frame));

export const eventsOf = (samples: readonly SeenSample[]): number => samples.reduce((sum, { timesNanos }) => sum + timesNanos.length, 0);
