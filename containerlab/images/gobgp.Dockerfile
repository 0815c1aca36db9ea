# GoBGP as a route reflector for containerlab; the configuration is bound to /etc/gobgp/gobgpd.toml.
#   docker build -f containerlab/images/gobgp.Dockerfile -t localhost/gobgp:3 containerlab/images
FROM debian:bookworm-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends gobgpd iproute2 \
 && rm -rf /var/lib/apt/lists/*
# -r: peers with graceful restart keep its paths when it comes back (GoBGP says so only when told to).
CMD ["gobgpd", "-r", "-f", "/etc/gobgp/gobgpd.toml"]
