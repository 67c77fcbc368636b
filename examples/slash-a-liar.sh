#!/bin/sh
# A job from a provider that lies, and the same from anyone. ASSAY names another assay, ASSAY_HOME another home.
set -eu
cd "$(dirname "$0")/.."
assay=${ASSAY:-cargo run --quiet --release --}
output=${OUTPUT:-words.txt}

$assay run programs/prebuilt/wordcount.elf --input README.md --output "$output" --with-liar
$assay job list
