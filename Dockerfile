# A container with hookgate in it and nothing else: no shell, no package manager, no root.
#
#   docker build -t hookgate:0.1.0 .
#   docker run --rm --read-only -p 8080:8080 -v "$PWD/config:/etc/hookgate:ro" -v "$PWD/secrets:/run/secrets:ro" hookgate:0.1.0
#
# The folder config has gateway.toml, which has to listen on "0.0.0.0:8080" there. Mount folders: of a single mounted file, the
# container never sees a replacement. With [queue], events are stored in a volume: -v hookgate:/var/lib/hookgate. There
# is no VOLUME here: an unnamed volume would be lost with the container. docs/operations.md has more; deploy/ has examples.
FROM rust:1.95-slim-bookworm AS build
WORKDIR /hookgate
COPY . .
RUN cargo build --locked --release && deploy/package/rootfs target/release/hookgate /root-of-container

FROM scratch
COPY --from=build /root-of-container /
# A number, so that an orchestrator can see that it is not root.
USER 65532:65532
# The folder in which gateway.toml is looked for.
WORKDIR /etc/hookgate
EXPOSE 8080 8443 9901
STOPSIGNAL SIGTERM
# Needs [admin]: it asks /readyz.
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 CMD ["/usr/bin/hookgate", "check", "--live"]
ENTRYPOINT ["/usr/bin/hookgate"]
CMD ["run"]
