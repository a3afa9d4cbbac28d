// Names of what lies in the log.

/** ProfilesData as a Collector's Kafka exporter writes it (either attribute shape), or our receiver's raw bytes. */
export const profilesTopic = 'otlp_profiles';
/** Row messages (schemas/rows), one partition per shard; read by exporters. */
export const rowsTopic = 'flamelake.rows';
/** What could not be decoded: the message's own bytes, with the headers below. */
export const deadLetterTopic = 'flamelake.dead';
/** All dead letters together, in an embedded log: four of the largest messages, a sixteenth of the log's default bound. */
export const deadLetterBytesMax = 256 << 20;

/** Header on otlp_profiles: value of the OTLP profiles development version, as the sender gave it; absent = 1. */
export const versionHeader = 'otlp-profiles-development-version';

/** Header on otlp_profiles: samples that the receiver cut out of this message (its sender was told). The processor tells them as lost. */
export const rejectedSamplesHeader = 'flamelake.rejected_samples';

/** Headers on dead letters. */
export const deadLetterHeaders = {
  reason: 'flamelake.dead.reason',
  message: 'flamelake.dead.message',
  logId: 'flamelake.dead.log_id',
  partition: 'flamelake.dead.partition',
  offset: 'flamelake.dead.offset',
} as const;

/** Consumer groups. */
export const processorGroup = 'flamelake.processor';
export const exporterGroup = 'flamelake.exporter';
