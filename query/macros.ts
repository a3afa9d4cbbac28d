// Functions for SQL over `samples` and `stacks`: what people need first. README.md lists them.
import { frameColumns } from '../schemas/lake/columns.ts';

/** With the tables and functions that each is made of. */
export const macros = {
  frame_name: {
    table: false,
    needs: [],
    sql: `CREATE TEMP MACRO frame_name(f) AS coalesce(nullif(f."function", ''),
      CASE WHEN f.mapping IS NOT NULL AND f.mapping <> '' THEN
        regexp_extract(f.mapping, '[^/]*$') || coalesce('+' || f.address, ' [no symbol]') END,
      f.address, '[unknown]')`,
  },
  stack_text: {
    table: false,
    needs: ['frame_name'],
    sql: `CREATE TEMP MACRO stack_text(frames) AS array_to_string(list_transform(list_reverse(frames), lambda f: replace(frame_name(f), ';', ':')), ';')`,
  },
  cpu_seconds: { table: false, needs: [], sql: 'CREATE TEMP MACRO cpu_seconds(value) AS sum(value) / 1e9' },
  frames: {
    table: true,
    needs: ['stacks', 'frame_name'],
    sql: `CREATE TEMP MACRO frames(id) AS TABLE
      SELECT u.position - 1 AS depth, frame_name(u.frame) AS name, ${frameColumns.map((column) => `u.frame."${column.name}"`).join(', ')} FROM
        (SELECT generate_subscripts(frames, 1) AS position, unnest(frames) AS frame FROM (SELECT frames FROM stacks WHERE stack_id = id LIMIT 1)) u
      ORDER BY depth`,
  },
  top_functions: {
    table: true,
    needs: ['samples', 'stacks', 'frame_name'],
    sql: `CREATE TEMP MACRO top_functions(kind := 'cpu') AS TABLE
      WITH weighed AS (SELECT stack_id, sum(value * weight) AS value FROM samples WHERE sample_type = kind GROUP BY ALL),
      named AS (SELECT w.value, list_transform(s.frames, lambda f: frame_name(f)) AS names
        FROM weighed w JOIN (SELECT stack_id, any_value(frames) AS frames FROM stacks GROUP BY stack_id) s USING (stack_id)),
      called AS (SELECT unnest(list_distinct(names)) AS name, names[1] AS leaf, value FROM named)
      SELECT name, coalesce(sum(value) FILTER (WHERE name = leaf), 0) AS self, sum(value) AS total,
        self / (SELECT sum(value) FROM weighed) AS self_share, total / (SELECT sum(value) FROM weighed) AS total_share
      FROM called GROUP BY name ORDER BY self DESC, total DESC, name`,
  },
  collapsed: {
    table: true,
    needs: ['samples', 'stacks', 'stack_text'],
    sql: `CREATE TEMP MACRO collapsed(kind := 'cpu') AS TABLE
      SELECT coalesce(w.process || ';', '') || stack_text(s.frames) AS stack, w.value, w.samples FROM
        (SELECT stack_id, replace(coalesce(process_executable_name, service_name), ';', ':') AS process, sum(value * weight) AS value, sum(count) AS samples
          FROM samples WHERE sample_type = kind GROUP BY ALL) w
        JOIN (SELECT stack_id, any_value(frames) AS frames FROM stacks GROUP BY stack_id) s USING (stack_id)
      ORDER BY w.value DESC`,
  },
  cpu_cores: {
    table: true,
    needs: ['samples'],
    sql: `CREATE TEMP MACRO cpu_cores(width := INTERVAL 1 MINUTE) AS TABLE
      SELECT time_bucket(width, "time") AS bucket, service_name, sum(value * weight) / 1e9 / epoch(width) AS cores
      FROM samples WHERE sample_type = 'cpu' GROUP BY ALL ORDER BY bucket, cores DESC`,
  },
  lost_samples: {
    table: true,
    needs: ['samples'],
    sql: `CREATE TEMP MACRO lost_samples(width := INTERVAL 1 MINUTE) AS TABLE
      SELECT time_bucket(width, "time") AS bucket, host_name, coalesce(attributes['flamelake.lost.reason'], 'unknown') AS reason, sum(value) AS lost
      FROM samples WHERE sample_type = 'lost' GROUP BY ALL ORDER BY bucket, lost DESC`,
  },
} as const;
