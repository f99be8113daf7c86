#!/usr/bin/env python3
"""Sends dry-run creates to an API server without a pause, and counts every answer that is not the expected one.

    tests/node/load.py KUBECONFIG RESULT.json [WORKERS]

Half of the requests break a house rule (namespace `open`) and must be refused by Portcullis, the others keep them
(namespace `kept`) and must pass. So an answer is either a review or it is counted: `unreviewed` when the one that must be
refused passed, `failed` when the webhook was not answered, `other` for the rest. Ends with SIGTERM and then writes the result.
"""

import base64
import collections
import http.client
import json
import os
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
import time

PACE = 0.02  # seconds each worker waits after an answer: it is the review that is under test, not the machine


def connection_settings(kubeconfig):
    text = subprocess.run(
        ["kubectl", "--kubeconfig", kubeconfig, "config", "view", "--raw", "--minify", "-o", "json"],
        check=True, capture_output=True, text=True,
    ).stdout
    config = json.loads(text)
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    context = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
    with tempfile.NamedTemporaryFile() as pair:
        pair.write(base64.b64decode(user["client-certificate-data"]))
        pair.write(base64.b64decode(user["client-key-data"]))
        pair.flush()
        context.load_cert_chain(pair.name)
    host, _, port = cluster["server"].removeprefix("https://").partition(":")
    return host, int(port or 443), context


def deployment(namespace):
    labels = {"app": "load"}
    container = {"name": "web", "image": "localhost/stub:1", "command": ["/stub", "serve"]}
    return json.dumps({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "load", "namespace": namespace},
        "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}}},
    })


class Load:
    def __init__(self):
        self.stop = threading.Event()
        self.lock = threading.Lock()
        self.counts = collections.Counter()
        self.slowest = 0.0
        self.troubles = []

    def note(self, outcome, took, text):
        with self.lock:
            self.counts[outcome] += 1
            self.slowest = max(self.slowest, took)
            if outcome not in ("passed", "refused") and len(self.troubles) < 1000:
                self.troubles.append({"at": time.time(), "outcome": outcome, "took": round(took, 3), "text": text[:400]})

    def work(self, settings, offset):
        host, port, context = settings
        connection = None
        for turn in range(offset, sys.maxsize):
            if self.stop.is_set():
                return
            bad = turn % 2 == 0
            namespace = "open" if bad else "kept"
            began = time.monotonic()
            try:
                connection = connection or http.client.HTTPSConnection(host, port, timeout=30, context=context)
                connection.request(
                    "POST", f"/apis/apps/v1/namespaces/{namespace}/deployments?dryRun=All", deployment(namespace),
                    {"Content-Type": "application/json"},
                )
                answer = connection.getresponse()
                status, text = answer.status, answer.read().decode()
            except OSError as error:
                connection = None
                status, text = 0, repr(error)
            self.note(outcome(bad, status, text), time.monotonic() - began, text)
            self.stop.wait(PACE)


def outcome(bad, status, text):
    if "failed calling webhook" in text:
        return "failed"
    if bad:
        if status == 403 and "denied the request" in text:
            return "refused"
        return "unreviewed" if status == 201 else "other"
    return "passed" if status == 201 else "other"


def main():
    kubeconfig, result = sys.argv[1:3]
    workers = int(sys.argv[3]) if len(sys.argv) > 3 else 4
    load = Load()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: load.stop.set())
    settings = connection_settings(kubeconfig)
    began = time.monotonic()
    threads = [threading.Thread(target=load.work, args=(settings, worker)) for worker in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.monotonic() - began
    report = {
        "seconds": round(seconds, 1), "slowest": round(load.slowest, 3), "counts": dict(load.counts),
        "per_second": round(sum(load.counts.values()) / seconds, 1), "troubles": load.troubles,
    }
    with open(result + ".part", "w", encoding="utf-8") as file:
        json.dump(report, file, indent=1)
    os.replace(result + ".part", result)


if __name__ == "__main__":
    main()
