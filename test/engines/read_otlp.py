"""Decodes OTLP messages with the OpenTelemetry project's own classes for Python.

Reads messages from standard input, each after its length as four bytes, big end first (as the
Collector's file exporter writes them), and prints a JSON list: for each message its resources with
their attributes, and for each profile its type, period, samples and events, and the names of frames.
"""

import json
import struct
import sys

from opentelemetry.proto.collector.profiles.v1development.profiles_service_pb2 import ExportProfilesServiceRequest


def messages(data):
    at = 0
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        yield data[at + 4 : at + 4 + length]
        at += 4 + length


def plain(value, strings):
    kind = value.WhichOneof("value")
    if kind == "string_value_strindex":
        return strings[value.string_value_strindex]
    if kind == "int_value":
        return str(value.int_value)
    return getattr(value, kind) if kind in ("string_value", "bool_value", "double_value") else kind


def summary(body):
    request = ExportProfilesServiceRequest.FromString(body)
    dictionary = request.dictionary
    strings = dictionary.string_table
    resources = []
    for resource_profiles in request.resource_profiles:
        attributes = {a.key or strings[a.key_strindex]: plain(a.value, strings) for a in resource_profiles.resource.attributes}
        profiles = []
        for scope_profiles in resource_profiles.scope_profiles:
            for profile in scope_profiles.profiles:
                functions = set()
                for sample in profile.samples:
                    for location in dictionary.stack_table[sample.stack_index].location_indices:
                        for line in dictionary.location_table[location].lines:
                            functions.add(strings[dictionary.function_table[line.function_index].name_strindex])
                profiles.append(
                    {
                        "scope": scope_profiles.scope.name,
                        "type": [strings[profile.sample_type.type_strindex], strings[profile.sample_type.unit_strindex]],
                        "period": str(profile.period),
                        "samples": len(profile.samples),
                        "events": sum(max(len(s.timestamps_unix_nano), 1) for s in profile.samples),
                        "functions": sorted(functions),
                    }
                )
        resources.append({"attributes": attributes, "profiles": profiles})
    return {"bytes": len(body), "resources": resources}


json.dump([summary(body) for body in messages(sys.stdin.buffer.read())], sys.stdout)
