# A lab node for containerlab: podroute's own image and what the topologies' exec lines need.
#   docker build -f deploy/Dockerfile -t localhost/podroute:dev .
#   docker build -f containerlab/images/node.Dockerfile -t localhost/podroute-node:dev containerlab/images
FROM localhost/podroute:dev
RUN apt-get update \
 && apt-get install -y --no-install-recommends iproute2 iputils-ping procps \
 && rm -rf /var/lib/apt/lists/*
ENTRYPOINT ["sleep", "infinity"]
