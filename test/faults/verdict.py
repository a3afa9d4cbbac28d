"""What a lake holds in the end, by DuckDB over plain files.

usage: verdict.py LAKE_FOLDER SAMPLES_PER_MESSAGE STACK_COUNT [CARRY_SAMPLES_FILE...] [-- CARRY_STACKS_FILE...]

Prints a JSON list of [message, rows, distinct samples, rows whose stack is another or missing]. The
files behind the folder are those of the head record's carry: rows of old dates, public once a day.
"""

import glob
import json
import os
import sys

import duckdb


def source(files):
    names = ", ".join("'" + name.replace("'", "''") + "'" for name in files)
    return f"read_parquet([{names}], union_by_name = true, hive_partitioning = false)"


def main():
    folder, per_message, stack_count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    rest = sys.argv[4:]
    middle = rest.index("--") if "--" in rest else len(rest)
    samples = glob.glob(os.path.join(folder, "samples", "*", "*", "*.parquet")) + rest[:middle]
    stacks = glob.glob(os.path.join(folder, "stacks", "*", "*", "*.parquet")) + rest[middle + 1 :]
    rows = duckdb.sql(f"""
        WITH leaf AS (SELECT stack_id, min(leaf_function) AS least, max(leaf_function) AS most FROM {source(stacks)} GROUP BY stack_id)
        SELECT value // {per_message}, count(*), count(DISTINCT value),
               count(*) FILTER (least IS NULL OR least <> most OR least <> 'leaf_' || (value % {stack_count}))
        FROM {source(samples)} s LEFT JOIN leaf USING (stack_id) WHERE sample_type = 'numbered' GROUP BY 1
    """).fetchall()
    json.dump(rows, sys.stdout)


main()
