"""Decodes OTLP metrics with the OpenTelemetry project's own classes for Python.

Reads messages from standard input, each after its length as four bytes, big end first, and prints a
JSON list: for each message its resources with their attributes, and for each metric its unit, kind and
points.
"""

import json
import struct
import sys

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

TEMPORALITY = {0: None, 1: "delta", 2: "cumulative"}


def messages(data):
    at = 0
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        yield data[at + 4 : at + 4 + length]
        at += 4 + length


def attributes(pairs):
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}


def point(kind, one):
    value = (
        {"count": one.count, "sum": one.sum, "counts": list(one.bucket_counts), "bounds": list(one.explicit_bounds)}
        if kind == "histogram"
        else getattr(one, one.WhichOneof("value"))
    )
    return {"attributes": attributes(one.attributes), "value": value, "start": str(one.start_time_unix_nano), "time": str(one.time_unix_nano)}


def metric(one):
    kind = one.WhichOneof("data")
    data = getattr(one, kind)
    return {
        "description": one.description,
        "unit": one.unit,
        "kind": kind,
        "temporality": None if kind == "gauge" else TEMPORALITY[data.aggregation_temporality],
        "monotonic": data.is_monotonic if kind == "sum" else None,
        "points": [point(kind, each) for each in data.data_points],
    }


def resource(one):
    scopes = one.scope_metrics
    return {
        "attributes": attributes(one.resource.attributes),
        "scopes": [[scope.scope.name, scope.scope.version] for scope in scopes],
        "metrics": {each.name: metric(each) for scope in scopes for each in scope.metrics},
    }


json.dump([[resource(one) for one in ExportMetricsServiceRequest.FromString(body).resource_metrics] for body in messages(sys.stdin.buffer.read())], sys.stdout)
