#!/bin/sh
# A kind cluster with podroute behind two FRR ToRs on kind's Docker network. Needs docker, kind,
# kubectl. NOT run where podroute is developed (no Docker, no registry): see README.md.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
root=$here/../..
frr=quay.io/frrouting/frr:${FRR_VERSION:-10.5.1}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

docker build -f "$root/deploy/Dockerfile" -t localhost/podroute:dev "$root"
kind create cluster --config "$here/kind.yaml"
kind load docker-image --name podroute localhost/podroute:dev

peers=
for number in 1 2; do
    name=podroute-tor$number
    mkdir "$work/$name"
    sed "s/ASN/6510$number/; s/ROUTER_ID/10.255.0.$number/" "$here/frr.conf" >"$work/$name/frr.conf"
    cp "$here/../common/daemons" "$work/$name/daemons"
    docker create --name "$name" --hostname "tor$number" --network kind --privileged "$frr" >/dev/null
    docker cp "$work/$name/frr.conf" "$name:/etc/frr/frr.conf"
    docker cp "$work/$name/daemons" "$name:/etc/frr/daemons"
    docker start "$name" >/dev/null
    for field in IPAddress GlobalIPv6Address; do
        address=$(docker inspect -f "{{.NetworkSettings.Networks.kind.$field}}" "$name")
        [ -z "$address" ] ||
            peers="$peers      - {name: tor$number-$field, address: \"$address\", remote_asn: 6510$number}
"
    done
done

kubectl apply -k "$root/deploy/kustomize/overlays/kind"
cat >"$work/config.yaml" <<CONFIG
apiVersion: v1
kind: ConfigMap
metadata: {name: podroute, namespace: podroute}
data:
  # Inside kind's network the API server is the control plane's own address.
  api: https://podroute-control-plane:6443
  config.yaml: |
    local_asn: 65200
    cluster:
      pod_prefixes: [10.244.0.0/16, "fd00:244::/56"]
      service_prefixes: [10.96.0.0/16, "fd00:96::/112"]
    peers:
$peers
CONFIG
kubectl apply -f "$work/config.yaml"
# The API's address is read from the ConfigMap when a pod starts.
kubectl -n podroute rollout restart daemonset/podroute
kubectl -n podroute rollout status daemonset/podroute --timeout 120s
kubectl wait --for=condition=Ready nodes --all --timeout 120s
docker exec podroute-tor1 vtysh -c 'show bgp summary'
