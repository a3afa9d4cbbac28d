"""Reads a lake as somebody without Flamelake would: by listing folders, with pyarrow or DuckDB.

usage: read_lake.py pyarrow|duckdb LAKE_FOLDER

Prints one JSON document: every row of samples and stacks in a text form that is the same for all
engines (integers as decimal text, times as microseconds since 1970, maps as sorted pairs), the schema
as the engine sees it, what it found by filters, and each file with its own schema and metadata.
"""

import glob
import json
import os
import re
import sys

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

TABLES = ("samples", "stacks")
# Columns whose values are looked up one by one: a filter must find what a full scan finds, or the
# statistics and bloom filters of the files are wrong.
LOOKUPS = {"samples": ("trace_id", "span_id", "stack_id", "service_name", "host_id", "time"), "stacks": ("stack_id", "leaf_function")}
LOOKUPS_MAX = 25


def text(value):
    """The text form of one value; booleans and None stay what they are."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    if isinstance(value, dict):
        return {key: text(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [text(inner) for inner in value]
    raise TypeError(f"no text form for {type(value)}")


def pairs(entries):
    if entries is None:
        return None
    return sorted(([key, value] for key, value in entries), key=lambda pair: pair[0].encode())


class Arrow:
    def __init__(self, folder):
        self.folder = folder

    def dataset(self, table):
        path = os.path.join(self.folder, table)
        partitions = ds.partitioning(pa.schema([("date", pa.string()), ("shard", pa.string())]), flavor="hive")
        found = ds.dataset(path, format="parquet", partitioning=partitions)
        whole = pa.unify_schemas([found.schema] + [fragment.physical_schema for fragment in found.get_fragments()])
        return ds.dataset(path, format="parquet", partitioning=partitions, schema=whole)

    def schema(self, table):
        # Arrow adds the names of a map's own fields in quotes where they are not its own.
        return {field.name: re.sub(r" \('[^)]*'\)", "", str(field.type)) for field in self.dataset(table).schema}

    def rows(self, table):
        dataset = self.dataset(table)
        data = dataset.to_table()
        maps = [field.name for field in data.schema if pa.types.is_map(field.type)]
        if "time" in data.column_names:
            data = data.set_column(data.column_names.index("time"), "time", data["time"].cast(pa.int64()))
        for row in data.to_pylist():
            for name in maps:
                row[name] = pairs(row[name])
            yield text(row)

    def lookups(self, table, column):
        dataset = self.dataset(table)
        for value, count in counted(dataset.to_table(columns=[column])[column]):
            found = dataset.to_table(columns=[column], filter=pc.field(column) == value).num_rows
            yield value, count, found


class Duck:
    def __init__(self, folder):
        self.folder = folder
        self.connection = duckdb.connect()
        self.connection.execute("SET TimeZone = 'UTC'")

    def source(self, table):
        return f"read_parquet('{self.folder}/{table}/*/*/*.parquet', hive_partitioning = true, hive_types_autocast = false, union_by_name = true)"

    def schema(self, table):
        described = self.connection.execute(f"DESCRIBE SELECT * FROM {self.source(table)}").fetchall()
        return {name: kind for name, kind, *_ in described}

    def rows(self, table):
        kinds = self.schema(table)
        maps = [name for name, kind in kinds.items() if kind.startswith("MAP(")]
        changes = [f"map_entries({name}) AS {name}" for name in maps]
        if "time" in kinds:
            changes.append("epoch_us(time) AS time")
        replace = f"REPLACE ({', '.join(changes)})" if changes else ""
        result = self.connection.execute(f"SELECT * {replace} FROM {self.source(table)}")
        names = [column[0] for column in result.description]
        for values in result.fetchall():
            row = dict(zip(names, values))
            for name in maps:
                row[name] = pairs(None if row[name] is None else [(entry["key"], entry["value"]) for entry in row[name]])
            yield text(row)

    def lookups(self, table, column):
        kind = "epoch_us(time)" if column == "time" else column
        counts = self.connection.execute(f"SELECT {kind}, count(*) FROM {self.source(table)} WHERE {column} IS NOT NULL GROUP BY 1 ORDER BY 1").fetchall()
        for value, count in counts[:: max(1, len(counts) // LOOKUPS_MAX)]:
            wanted = "make_timestamptz(?)" if column == "time" else "?"
            found = self.connection.execute(f"SELECT count(*) FROM {self.source(table)} WHERE {column} = {wanted}", [value]).fetchone()[0]
            yield value, count, found


def counted(values):
    counts = pc.value_counts(values.combine_chunks().drop_null()).to_pylist()
    for entry in counts[:: max(1, len(counts) // LOOKUPS_MAX)]:
        yield entry["values"], entry["counts"]


def describe_file(folder, path):
    metadata = pq.read_metadata(path)
    pairs_of_file = {key.decode(): value.decode() for key, value in (metadata.metadata or {}).items() if key != b"ARROW:schema"}
    schema = metadata.schema.to_arrow_schema()
    return {
        "name": os.path.relpath(path, folder),
        "rows": metadata.num_rows,
        "rowGroups": [metadata.row_group(index).num_rows for index in range(metadata.num_row_groups)],
        "codecs": sorted({metadata.row_group(g).column(c).compression for g in range(metadata.num_row_groups) for c in range(metadata.num_columns)}),
        "metadata": pairs_of_file,
        "schema": {field.name: {"type": str(field.type), "nullable": field.nullable} for field in schema},
    }


def main():
    engine, folder = sys.argv[1], os.path.abspath(sys.argv[2])
    reader = {"pyarrow": Arrow, "duckdb": Duck}[engine](folder)
    files = sorted(glob.glob(os.path.join(folder, "**", "*"), recursive=True))
    document = {"engine": engine, "version": {"pyarrow": pa.__version__, "duckdb": duckdb.__version__}[engine]}
    for table in TABLES:
        document[table] = {
            "schema": reader.schema(table),
            "rows": list(reader.rows(table)),
            "lookups": [
                {"column": column, "value": str(value), "scanned": count, "found": found}
                for column in LOOKUPS[table]
                for value, count, found in reader.lookups(table, column)
                if count != found
            ],
        }
    document["files"] = [describe_file(folder, path) for path in files if os.path.isfile(path)]
    json.dump(document, sys.stdout, ensure_ascii=True)


main()
