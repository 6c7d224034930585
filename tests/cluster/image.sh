#!/usr/bin/env bash
# Build the image for the tests, without a container registry: image.sh DIR makes DIR/zbo.sif
# pip is set up in the image as it is here, so a build of torch that this machine prefers is taken.
set -euo pipefail
dir=$(realpath -m "${1:?usage: image.sh DIR}")
cd "$(dirname "$0")/../.."
base=$dir/base
mkdir -p "$dir"
containers/base.sh "$base"

# Settings as pip.conf's lines, the environment's before a file's; each key once.
settings=$(python3 -m pip config list |
    sed -nE "s/^(:env:|global)\.([a-z-]+)='(.*)'$/\2 = \3/p" | sort -u -t= -k1,1)
printf '[global]\n%s\n' "$settings" >"$base/etc/pip.conf"
options=(--build-arg bootstrap=localimage --build-arg from="$base")
options+=(--mksquashfs-args="'-Xcompression-level 1'") # minutes less, and it is thrown away
for path in $(grep -oE '(file://)?/[^ ]+' <<<"$settings" | sed 's|^file://||'); do
    [[ -e $path && ($path != */simple) && -d $path ]] || path=$(dirname "$path")
    [ -d "$path" ] || continue
    mkdir -p "$base$path"
    options+=(--bind "$path")
done
apptainer=apptainer
# A sandboxed root may lack capabilities that a namespace of its own has.
[ "$(id -u)" != 0 ] || apptainer="unshare --user --map-root-user apptainer"
make image APPTAINER="$apptainer" IMAGE="$dir/zbo.sif" IMAGE_OPTIONS="${options[*]}"
rm -rf "$base"
