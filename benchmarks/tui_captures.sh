#!/bin/sh
# Every screen of the terminal over the demo, as tmux shows it, into docs/tui: benchmarks/tui_captures.sh [DIRECTORY]
# Needs tmux. Starts and ends a tmux server and a demo of its own; a recording of it becomes the SVGs.
set -eu
cd "$(dirname "$0")/.."
out=${1:-docs/tui}
sizes=${SIZES:-80x24 160x48}
concurrency=${CONCURRENCY:-16}
pdctl=$PWD/.venv/bin/pdctl
socket=pdctl-captures-$$
scratch=$(mktemp -d)
mkdir -p "$out"
# No settings of whoever runs this, and the demo's inventory where we find it.
export TMPDIR="$scratch" XDG_CONFIG_HOME="$scratch/config" TERM=xterm-256color LANG=C.UTF-8
trap 'tmux -L "$socket" kill-server 2>/dev/null || true; rm -rf "$scratch"' EXIT INT TERM

keys() { tmux -L "$socket" send-keys -t demo "$@"; }
leave() { keys Escape; sleep 1; }  # what follows at once would be taken for alt and a key
shot() { tmux -L "$socket" capture-pane -p -t demo >"$out/$1-$size.txt"; echo "$out/$1-$size.txt"; }
# until TEXT SECONDS: wait for it to be on the screen
until_shown() {
    left=$2
    until tmux -L "$socket" capture-pane -p -t demo | grep -q -- "$1"; do
        left=$((left - 1))
        test "$left" -gt 0 || { echo "no \"$1\" after $2 s:" >&2; tmux -L "$socket" capture-pane -p -t demo >&2; exit 1; }
        sleep 1
    done
}

for size in $sizes; do
    tmux -u -L "$socket" -f /dev/null new-session -d -s demo -x "${size%x*}" -y "${size#*x}" "$pdctl demo --concurrency $concurrency; sleep 99"
    tmux -L "$socket" set -g status off
    tmux -L "$socket" set -s escape-time 0
    until_shown "up: [1-9]" 60
    shot starting
    until_shown "live" 60
    sleep 15
    shot pulse
    keys 2; sleep 2; shot nodes
    keys /; keys -l "pool:decode ttft<1s"; sleep 2; shot nodes-filter; leave
    keys v v; sleep 1; shot instances; keys v
    keys Enter; until_shown "endpoint" 60; sleep 1; shot node; leave
    keys ?; sleep 1; shot help; leave
    keys 3; sleep 1; keys c; until_shown "round done" 60; shot matrix
    keys 4; until_shown "may serve" 60; sleep 1; shot health
    keys 2; sleep 1; keys Home; sleep 1; keys m; until_shown "which pool" 60; shot move-pool
    keys Enter; until_shown "point of no return" 60; sleep 1; shot move-plan
    keys Tab Enter; until_shown "under way" 60; sleep 2; shot move-running
    until_shown "steps done" 60; until_shown "done in" 60; sleep 2; shot move-done; leave
    keys 1; sleep 8; shot pulse-moved
    keys 7; until_shown "measured" 120; sleep 2; shot advisor
    keys i; keys -l "isl=8k osl=256 rate=10"; keys Enter; until_shown "8192/256" 60; sleep 4; shot advisor-what-if; leave
    keys 2; sleep 1; keys l; until_shown "lines" 60; sleep 2; shot logs
    keys 6; until_shown "runs" 60; sleep 1; shot activity
    if [ "$size" = 160x48 ]; then
        inventory=$(ls "$scratch"/pdctl-demo-*/inventory.yaml)
        "$pdctl" -i "$inventory" watch --canary --quiet --ticks 40 --record "$scratch/demo.rec"
        "$pdctl" -i "$inventory" --read-only top --view activity --after 3 --snapshot "$out/activity.svg"
        "$pdctl" -i "$inventory" --read-only top --view logs --after 3 --snapshot "$out/logs.svg"
        "$pdctl" -i "$inventory" --read-only top --view health --after 8 --snapshot "$out/health.svg"
        "$pdctl" -i "$inventory" --read-only top --view advisor --after 45 --size 140x36 --snapshot "$out/advisor.svg"
        "$(dirname "$pdctl")/python" benchmarks/tui_pictures.py "$inventory" "$out"
    fi
    keys q
    until_shown "" 1
    sleep 4
    tmux -L "$socket" kill-server 2>/dev/null || true
done
test -f "$scratch/demo.rec" || exit 0
for view in pulse nodes matrix; do
    "$pdctl" top --view "$view" --replay "$scratch/demo.rec" --size 120x36 --snapshot "$out/$view.svg"
done
size=80x24
tmux -u -L "$socket" -f /dev/null new-session -d -s demo -x 80 -y 24 "$pdctl replay $scratch/demo.rec"
tmux -L "$socket" set -g status off
until_shown "recording" 60; sleep 3; keys Space; sleep 1; shot replay
keys q
