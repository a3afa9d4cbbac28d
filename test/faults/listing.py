"""A reader that lists the lake's public files all the time, as an engine of somebody else would.

usage: listing.py LAKE_FOLDER

Lists every 50 ms and reads each new file with pyarrow. Commands on standard input, a line each, answered
by a line: `pause` (nothing is open until `resume`), `resume`, `end` (a JSON document: what was seen, and
what was wrong: a row twice, a stack id twice in a date, a sample without its stack, a file that vanished,
changed or could not be read).
"""

import glob
import json
import os
import queue
import sys
import threading

import pyarrow.parquet as pq

BETWEEN_SECONDS = 0.05
WRONG_MAX = 20
# Samples whose value is a number that no other has (load.ts).
NUMBERED = "numbered"


class Reader:
    def __init__(self, folder):
        self.folder = folder
        self.sizes = {}
        self.values = set()
        self.stacks = set()
        self.listings = 0
        self.wrong = []

    def complain(self, text):
        if len(self.wrong) < WRONG_MAX:
            self.wrong.append(text)

    def look(self):
        self.listings += 1
        # Samples first: whoever sees a sample must find its stack in what is listed later.
        samples = self.list("samples")
        stacks = self.list("stacks")
        for path in self.sizes:
            if path not in samples and path not in stacks:
                self.complain(f"{path} vanished")
        for path, size in {**samples, **stacks}.items():
            if self.sizes.get(path, size) != size:
                self.complain(f"{path} had {self.sizes[path]} bytes and has {size}")
        for path in stacks:
            if path not in self.sizes:
                self.read(path, stacks[path], self.take_stacks)
        for path in samples:
            if path not in self.sizes:
                self.read(path, samples[path], self.take_samples)

    def list(self, table):
        paths = glob.glob(os.path.join(self.folder, table, "*", "*", "*.parquet"))
        return {os.path.relpath(path, self.folder): os.path.getsize(path) for path in paths}

    def read(self, path, size, take):
        try:
            take(path, path.split(os.sep)[1])
            self.sizes[path] = size
        except Exception as error:
            self.complain(f"{path} can't be read: {error}")

    def take_stacks(self, path, date):
        for (stack,) in self.rows(path, ["stack_id"]):
            if (date, stack) in self.stacks:
                self.complain(f"{path}: stack {stack} twice in {date}")
            self.stacks.add((date, stack))

    def take_samples(self, path, date):
        for stack, value, sample_type in self.rows(path, ["stack_id", "value", "sample_type"]):
            if sample_type == NUMBERED:
                if value in self.values:
                    self.complain(f"{path}: sample {value} twice")
                self.values.add(value)
            if (date, stack) not in self.stacks:
                self.complain(f"{path}: stack {stack} of sample {value} is not in {date}")

    def rows(self, path, columns):
        table = pq.ParquetFile(os.path.join(self.folder, path)).read(columns=columns)
        return zip(*(table.column(name).to_pylist() for name in columns))


def main():
    reader = Reader(os.path.abspath(sys.argv[1]))
    commands = queue.Queue()
    threading.Thread(target=lambda: [commands.put(line.strip()) for line in sys.stdin] + [commands.put("gone")], daemon=True).start()
    paused = False
    while True:
        try:
            command = commands.get(timeout=BETWEEN_SECONDS)
        except queue.Empty:
            if not paused:
                reader.look()
            continue
        if command == "gone":
            return
        if command == "end":
            reader.look()
            print(json.dumps({"listings": reader.listings, "files": len(reader.sizes), "rows": len(reader.values), "wrong": reader.wrong}), flush=True)
            return
        paused = command == "pause"
        print(command, flush=True)


main()
