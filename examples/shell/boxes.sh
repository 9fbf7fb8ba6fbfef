#!/bin/sh
# From an image to a release of an annotated dataset, with curl and a POSIX shell.
#
#   GONK_API_KEY=gk_… sh boxes.sh [IMAGE]
#
# GONK_URL: where the node is (http://127.0.0.1:5050). GONK_DATASET: the dataset, made if it is not there.
set -eu

url="${GONK_URL:-http://127.0.0.1:5050}/api/v1"
dataset="${GONK_DATASET:-boxes}"
image="${1:-$(dirname "$0")/../street.png}"
# Names and tags are taken for good, so each run has its own.
run="$(date -u +%Y%m%d%H%M%S)$$"
name="images/$run.png"
D="$url/datasets/$dataset"

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
# The key goes to curl in a file: arguments can be seen by everybody on the machine.
umask 077
printf 'header = "authorization: Bearer %s"\n' "${GONK_API_KEY:?is not set}" > "$work/key"

# What the node answers; the script ends when that is an error.
gonk() {
  curl --silent --show-error --fail-with-body --config "$work/key" "$@" ||
    { echo "the node refused: $*" >&2; exit 1; }
}

# json METHOD URL BODY
json() {
  gonk --request "$1" --header 'content-type: application/json' --data "$3" "$2"
}

# first NAME JSON: the text of the first member of this name. (Where jq is at hand, use that.)
first() {
  printf '%s' "$2" | tr ',{[' '\n\n\n' | sed -n "s/^ *\"$1\": *\"\([^\"]*\)\".*/\1/p" | head -n 1
}

# Signs an acceptance with the key of whoever asks, who must be an owner.
accept() {
  items=
  for version in "$@"; do items="$items${items:+,}{\"item\":\"$version\"}"; done
  answer="$(json POST "$D/reviews" "{\"decisions\":[{\"verdict\":\"accept\",\"items\":[$items]}]}")"
  case "$answer" in
    *'"outcome":"'[!d]*) echo "not accepted: $answer" >&2; exit 1 ;;
  esac
}

me="$(gonk "$url/me")"
echo "I am $(first name "$me") ($(first role "$me"))"

status="$(curl --silent --output /dev/null --write-out '%{http_code}' --config "$work/key" "$D")"
if [ "$status" = 404 ]; then
  made="$(json POST "$url/datasets" "{\"name\":\"$dataset\"}")"
  echo "dataset $dataset made: $(first id "$made")"
else
  echo "dataset $dataset was there"
fi

uploaded="$(gonk --request POST --header 'content-type: application/octet-stream' \
  --data-binary "@$image" "$D/objects?name=images%2F$run.png&mediaType=image%2Fpng")"
object="$(first version "$uploaded")"
echo "proposed $name: $(first cid "$uploaded")"

status="$(curl --silent --output /dev/null --write-out '%{http_code}' --config "$work/key" \
  "$D/schemas/schema-boxes")"
if [ "$status" = 404 ]; then
  # The document of the schema is JSON text within JSON: it goes from one answer into the next request as it is.
  gonk "$url/common-schemas" | sed 's/},{"name"/}\n{"name"/g' | grep '"schema-boxes"' |
    sed 's/.*\("document":"\([^"\\]\|\\.\)*"\).*/{"name":"schema-boxes",\1}/' > "$work/schema.json"
  added="$(json POST "$D/schemas" "@$work/schema.json")"
  accept "$(first version "$added")"
  echo 'added schema-boxes'
fi

annotated="$(json POST "$D/annotations" '{"annotations":[{
  "objects": ["'"$object"'"],
  "schema": "schema-boxes",
  "value": {
    "image": {"width": 64, "height": 48},
    "boxes": [
      {"category": "car", "xywh": [8, 24, 24, 12]},
      {"category": "tree", "xywh": [44, 8, 12, 28]}
    ]
  }
}]}')"
annotation="$(first version "$annotated")"
echo "annotated it: $(first id "$annotated")"

accept "$object" "$annotation"
echo 'accepted both, as an owner'

listed="$(gonk "$D/objects?status=accepted&prefix=images%2F")"
printf '%s' "$listed" | tr ',{[' '\n\n\n' | sed -n 's/^ *"name": *"\([^"]*\)".*/accepted: \1/p'
annotations="$(gonk "$D/annotations?object=images%2F$run.png")"
echo "annotation $(first id "$annotations"): $(first status "$annotations")"

release="$(json POST "$D/releases" "{\"tag\":\"v$run\",\"text\":\"made by an example\"}")"
echo "released $(first tag "$release"): $(first root "$release")"

content="$D/objects/images%2F$run.png/content"
size="$(wc -c < "$image" | tr -d ' ')"
half=$((size / 2))
gonk --range "0-$((half - 1))" "$content" > "$work/copy"
gonk --range "$half-" "$content" >> "$work/copy"
cmp "$work/copy" "$image"
echo "downloaded $size bytes in two ranges: the same as were sent"
