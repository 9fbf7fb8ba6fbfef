#!/usr/bin/env python3
"""A client written for Gonk, run against `gonk-node start --gonk 127.0.0.1:5000`.

    GONK_API_KEY=gk_... python3 gonk_dialect.py [IMAGE]

GONK_URL: where Gonk's API is (http://127.0.0.1:5000). GONK_DATASET: a dataset that is not there yet.
"""

import base64
import json
import os
import pathlib
import sys
import urllib.request

URL = os.environ.get("GONK_URL", "http://127.0.0.1:5000")
API_KEY = os.environ.get("GONK_API_KEY", "")
DATASET = os.environ.get("GONK_DATASET", "example")
IMAGE = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent / "../street.png")


def call(method, path, body=None):
    headers = {"x-api-key": API_KEY}
    data = None
    if body is not None:
        headers["content-type"] = "application/json"
        data = json.dumps(body).encode()
    request = urllib.request.Request(URL + path, data, headers, method=method)
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def encoded(data):
    return base64.b64encode(data).decode()


def last_event():
    """The newest event, whose UUID a review names. Events come 25 a page."""
    page = events = call("GET", f"/datasets/{DATASET}/events")
    while page:
        events = page
        page = call("GET", f"/datasets/{DATASET}/events?after={events[-1]['uuid']}")
    return events[-1]


def accept():
    """Accepts what was proposed last."""
    event = last_event()
    call("PUT", f"/datasets/{DATASET}/events/{event['uuid']}/accept")
    print(f"accepted {event['type']} {event['uuid']} by {event['author']}")


call("POST", "/datasets", {"name": DATASET})
print(f"dataset {DATASET}, owned by {call('GET', f'/datasets/{DATASET}/owners')}")

schema = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "type": "object",
    "required": ["label"],
    "properties": {"label": {"type": "string"}},
}
made = call(
    "POST",
    f"/datasets/{DATASET}/schemas",
    {"name": "schema-label", "schema": encoded(json.dumps(schema).encode())},
)
print(f"schema {made['name']}: {made['versions']} version")
accept()

image = IMAGE.read_bytes()
identifier = call(
    "POST",
    f"/datasets/{DATASET}/objects",
    {"name": IMAGE.name, "mimetype": "image/png", "object": encoded(image)},
)
print(f"object {identifier['uuid']}, version {identifier['version']}")
accept()

annotation = call(
    "POST",
    f"/datasets/{DATASET}/annotations",
    {
        "schema": {"name": "schema-label", "version": 0},
        "object_identifiers": [identifier],
        "annotation": encoded(json.dumps({"label": "a street"}).encode()),
    },
)
print(f"annotation {annotation['uuid']}, version {annotation['version']}")
accept()

for kind in ("objects", "annotations"):
    print(f"accepted {kind}: {call('GET', f'/datasets/{DATASET}/{kind}/accepted')}")

details = call("GET", f"/datasets/{DATASET}/objects/{identifier['uuid']}/{identifier['version']}")
if base64.b64decode(details["bytes"]) != image:
    sys.exit("other bytes came back")
print(f"downloaded {details['object']['size']} bytes: the same as were sent")
