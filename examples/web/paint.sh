#!/bin/sh
# Paint over HTTP with curl: paint.sh ADDRESS PHOTO PAINTING OUT.png
# ADDRESS is the line that `impasto web --no-open` prints, http://127.0.0.1:PORT/?token=TOKEN.
set -eu
base=${1%%/\?token=*} token=${1##*token=}
ask() { curl --silent --show-error --fail-with-body --header "Authorization: Bearer $token" "$@"; }
field() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p"; }
send() { ask --header 'Content-Type: application/octet-stream' --upload-file "$1" "$base/api/pictures" | field id; }

content=$(send "$2") style=$(send "$3")
job=$(ask --json "{\"content\": \"$content\", \"styles\": [\"$style\"], \"recipe\": {\"size\": ${SIZE:-512}}}" "$base/api/jobs" | field id)
while state=$(ask "$base/api/jobs/$job" | field state); [ "$state" = queued ] || [ "$state" = running ]; do
  sleep 1
done
ask --output "$4" "$base/api/jobs/$job/picture"
