#!/usr/bin/env bash
# Publishes the last commit to a Space, after `hf auth login`:
#
#   spaces/deploy.sh OWNER/NAME
#   spaces/deploy.sh --list             # only names what would go there
#   spaces/deploy.sh --export FOLDER    # only puts it into a folder
#
# What runs is named in .dockerignore. A Space wants its card and packages.txt beside it, and no folder called spaces:
# Gradio would import it in place of the package of that name.
set -euo pipefail
what=${1:?which Space, as OWNER/NAME?}
folder=${2:+$(realpath "$2")}
cd "$(dirname "$0")/.."

stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
mapfile -t parts < <(sed -n 's/^!//p' .dockerignore)
git archive HEAD "${parts[@]}" spaces | tar -x -C "$stage"
mv "$stage/spaces/README.md" "$stage/spaces/packages.txt" "$stage"
rm -r "$stage/spaces"

case $what in
    --list) (cd "$stage" && find . -type f -printf '%P\n' | sort) ;;
    --export) mkdir -p "$folder" && cp -r "$stage/." "$folder" ;;
    *)
        hf repos create "$what" --type space --sdk gradio --exist-ok
        hf upload "$what" "$stage" . --type space --delete '*' --commit-message "$(git log -1 --format='%h %s')"
        ;;
esac
