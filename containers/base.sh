#!/usr/bin/env bash
# Make a Debian 12 root folder with Python in DIR, to build the image from where no container registry
# can be reached (needs mmdebstrap; takes Debian's packages from where apt takes them here):
#   containers/base.sh DIR
#   make image IMAGE_OPTIONS="--build-arg bootstrap=localimage --build-arg from=DIR"
set -euo pipefail
dir=${1:?usage: containers/base.sh DIR}
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | head -n 1)
rm -rf "$dir"
mmdebstrap --quiet --variant=minbase --include=python3,python3-venv,ca-certificates \
    bookworm "$dir" "$mirror"
rm -rf "$dir"/dev/*
chown -R "$(id -u):$(id -g)" "$dir" # an unprivileged build knows no other users
