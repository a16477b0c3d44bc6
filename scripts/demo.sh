#!/usr/bin/env bash
# Finds photos by words, by picture and by both: in the photographs that installed packages carry,
# or in a folder of yours (`make demo PHOTOS=folder`), in which only `.vretr/` is written.
set -euo pipefail
photos=${1:-}
photos=${photos/#\~/$HOME}
output=demo-output
mkdir -p "$output"

run() {
    local word line='$'
    for word in "$@"; do
        case $word in *' '*) line="$line \"$word\"" ;; *) line="$line $word" ;; esac
    done
    printf '\n%s\n' "$line"
    "$@"
}

if [ -z "$photos" ]; then
    photos=$output/photos
    python scripts/demo_photos.py "$photos"
    words=("a cat" "a cup of coffee" "a motorcycle" "a person in uniform" "stars in the night sky")
    picture=$photos/astronaut.png
    change="in uniform"
else
    words=("a person" "a dog" "food on a table" "buildings in a city" "something red")
    picture=
    change="in black and white"
fi

run vretr index "$photos" || [ $? -eq 3 ] # 3: done, but some files could not be read
for text in "${words[@]}"; do
    run vretr query --in "$photos" --text "$text" -k 3
done
if [ -z "$picture" ]; then
    picture=$(vretr query --in "$photos" --text "${words[0]}" -k 1 | cat)
fi
run vretr query --in "$photos" --image "$picture" -k 3
run vretr query --in "$photos" --image "$picture" --text "$change" -k 3 --html "$output/results.html"

printf '\nThe page with the pictures of the last query: %s\n' "$output/results.html"
printf 'Now your own photos:  make demo PHOTOS=~/Pictures\n'
