# BIRD 2 as a router for containerlab; the configuration is bound to /etc/bird/bird.conf.
#   docker build -f containerlab/images/bird.Dockerfile -t localhost/bird:2 containerlab/images
FROM debian:bookworm-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends bird2 iproute2 \
 && rm -rf /var/lib/apt/lists/* \
 && install -d /run/bird
CMD ["bird", "-f", "-c", "/etc/bird/bird.conf"]
