#!/usr/bin/env bash
# Publishes the last commit to a Space: spaces/deploy.sh OWNER/NAME   (after `hf auth login`)
#
# A Space wants its card and packages.txt at the root, and no folder called spaces: Gradio would import it in place of
# the package of that name. What only developers need stays out too.
set -euo pipefail
space=${1:?which Space, as OWNER/NAME?}
cd "$(dirname "$0")/.."

stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
git archive HEAD | tar -x -C "$stage"
mv "$stage/spaces/README.md" "$stage/spaces/packages.txt" "$stage"
rm -r "$stage"/{spaces,tests,training,benchmarks,docs,.ci,requirements-dev.txt}

hf upload "$space" "$stage" . --repo-type space --delete '*' --commit-message "$(git log -1 --format='%h %s')"
