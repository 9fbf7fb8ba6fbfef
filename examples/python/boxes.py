#!/usr/bin/env python3
"""From an image to a release of an annotated dataset, with nothing but Python's standard library.

    GONK_API_KEY=gk_... python3 boxes.py [IMAGE]

GONK_URL: where the node is (http://127.0.0.1:5050). GONK_DATASET: the dataset, made if it is not there.
"""

import datetime
import json
import os
import pathlib
import sys
import urllib.error
import urllib.parse
import urllib.request

URL = os.environ.get("GONK_URL", "http://127.0.0.1:5050")
API_KEY = os.environ.get("GONK_API_KEY", "")
DATASET = os.environ.get("GONK_DATASET", "boxes")
IMAGE = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent / "../street.png")
# Names and tags are taken for good, so each run has its own.
RUN = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%d%H%M%S%f")


class Problem(Exception):
    """An answer that is none: application/problem+json (RFC 9457)."""

    def __init__(self, problem):
        super().__init__(f"{problem.get('code')}: {problem.get('detail')}; {problem.get('hint')}")
        self.code = problem.get("code")


def request(method, path, query=None, body=None, headers=None):
    """The bytes that the node answers. `body`: bytes, or whatever becomes JSON."""
    headers = {"authorization": f"Bearer {API_KEY}", **(headers or {})}
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
        headers["content-type"] = "application/json"
    elif body is not None:
        headers["content-type"] = "application/octet-stream"
    url = f"{URL}/api/v1{path}" + (f"?{urllib.parse.urlencode(query)}" if query else "")
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers, method=method)) as answer:
            return answer.read()
    except urllib.error.HTTPError as error:
        raise Problem(json.load(error)) from None


def call(*arguments, **more):
    return json.loads(request(*arguments, **more))


def unless(code, *arguments, **more):
    """What a call gives, or None when it fails with this code."""
    try:
        return call(*arguments, **more)
    except Problem as problem:
        if problem.code == code:
            return None
        raise


D = f"/datasets/{urllib.parse.quote(DATASET, safe='')}"


def accept(*versions):
    """Signs an acceptance with the key of whoever asks, who must be an owner."""
    decision = {"verdict": "accept", "items": [{"item": version} for version in versions]}
    for result in call("POST", f"{D}/reviews", body={"decisions": [decision]})["results"]:
        if result["outcome"] not in ("decided", "alreadyDecided"):
            sys.exit(f"{result['item']}: {result['outcome']} {result.get('what', '')}")


me = call("GET", "/me")
print(f"I am {me['name']} ({me['role']})")

made = unless("EXISTS", "POST", "/datasets", body={"name": DATASET})
print(f"dataset {DATASET} " + (f"made: {made['id']}" if made else "was there"))

image = IMAGE.read_bytes()
name = f"images/{RUN}.png"
uploaded = call("POST", f"{D}/objects", query={"name": name, "mediaType": "image/png"}, body=image)
thing = uploaded["objects"][0]
print(f"proposed {name}: {thing['size']} bytes, {thing['cid']}")

if unless("NOT_FOUND", "GET", f"{D}/schemas/schema-boxes") is None:
    boxes = next(schema for schema in call("GET", "/common-schemas") if schema["name"] == "schema-boxes")
    added = call("POST", f"{D}/schemas", body={"name": boxes["name"], "document": boxes["document"]})
    accept(added["schema"]["version"])
    print("added schema-boxes")

document = {
    "image": {"width": 64, "height": 48},
    "boxes": [
        {"category": "car", "xywh": [8, 24, 24, 12]},
        {"category": "tree", "xywh": [44, 8, 12, 28]},
    ],
}
annotation = {"objects": [thing["version"]], "schema": "schema-boxes", "value": document}
annotated = call("POST", f"{D}/annotations", body={"annotations": [annotation]})["annotations"]
print(f"annotated it: {annotated[0]['id']}")

accept(thing["version"], *(each["version"] for each in annotated))
print("accepted both, as an owner")

for each in call("GET", f"{D}/objects", query={"status": "accepted", "prefix": "images/"})["objects"]:
    print(f"accepted: {each['name']} ({each['size']} bytes)")
for each in call("GET", f"{D}/annotations", query={"object": name})["annotations"]:
    print(f"annotation {each['id']}: {each['status']}")

release = call("POST", f"{D}/releases", body={"tag": f"v{RUN}", "text": "made by an example"})
print(f"released {release['tag']}: {release['root']}")

path = f"{D}/objects/{urllib.parse.quote(name, safe='')}/content"
half = len(image) // 2
ranges = [f"bytes=0-{half - 1}", f"bytes={half}-"]
parts = [request("GET", path, headers={"range": each}) for each in ranges]
if b"".join(parts) != image or len(parts[0]) != half:
    sys.exit("other bytes came back")
print(f"downloaded {len(image)} bytes in two ranges: the same as were sent")
