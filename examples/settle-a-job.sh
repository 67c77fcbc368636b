#!/bin/sh
# A market on this machine, a job on it, and what became of it. ASSAY names another assay, ASSAY_HOME another home.
set -eu
cd "$(dirname "$0")/.."
assay=${ASSAY:-cargo run --quiet --release --}
output=${OUTPUT:-words.txt}

$assay up --detach --rpc-port 0 --port 0
trap '$assay down' EXIT
$assay quote
$assay run programs/prebuilt/wordcount.elf --input examples/data/pride-and-prejudice.txt --output "$output"
$assay job list
head -n 3 "$output"
