// Attribute names that the agent writes and the processor reads, where OpenTelemetry has none of its
// own. Standard names (service.name, thread.id, profile.frame.type, …) are used by their own spelling.

/**
 * On the root-most location of a stack that does not reach its root: the reason, one word. The
 * location has no mapping and no address; its function name is cutFunctionName(reason), so that any
 * other viewer shows the cut too. The processor turns it into stacks.cut and drops the frame.
 */
export const stackCutAttribute = 'flamelake.stack.cut';
export const cutFunctionName = (reason: string): string => `[cut: ${reason}]`;

/** On a sample of type lost/count: the reason, one word; its single frame is lostFunctionName(reason). */
export const lostReasonAttribute = 'flamelake.lost.reason';
export const lostFunctionName = (reason: string): string => `[lost: ${reason}]`;
export const lostSampleType = ['lost', 'count'] as const;

/** On a sample with a link: which mechanism said so (thread_context, obi, …); the link's own default is `otlp`. */
export const linkSourceAttribute = 'flamelake.link.source';

/** On a sample whose time was replaced by the log append time: its own, RFC 3339 with nanoseconds. */
export const timeOriginalAttribute = 'flamelake.time_original';

/** On a mapping whose program headers could not be read: addresses under it are file offsets, not ELF addresses. */
export const addressKindAttribute = 'flamelake.address.kind';
export const addressKindFileOffset = 'file_offset';

/** Frame types (profile.frame.type). Open list; these are the ones we give ourselves. */
export const frameTypes = { native: 'native', kernel: 'kernel' } as const;

/** Other profilers' word for a cut stack, as a frame type on the root-most location. */
export const abortMarkerFrameType = 'abort-marker';

/** scope.name of our agent. */
export const agentScopeName = 'flamelake.agent';
