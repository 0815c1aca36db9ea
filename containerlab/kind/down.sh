#!/bin/sh
# Ends what up.sh began.
set -eu
docker rm -f podroute-tor1 podroute-tor2 >/dev/null 2>&1 || :
kind delete cluster --name podroute
