# The image holds one static file and nothing else: no shell, no libraries, no certificates of others.
#   hack/image OUT.tar      builds it from this file, also without a registry
ARG BUILDER_IMAGE=rust:1.95-bookworm
FROM ${BUILDER_IMAGE} AS build
# aarch64-unknown-linux-gnu for arm64, on a builder that has this target and its linker.
ARG TARGET=x86_64-unknown-linux-gnu
# --offline where the builder brings its crates along.
ARG CARGO_FLAGS=""
# Other folders than the two cache mounts below, where the builder has crates or compiled crates at hand.
ARG CARGO_HOME=/cache/cargo
ARG CARGO_TARGET_DIR=/cache/target
WORKDIR /src
# Everything that .dockerignore lets through: Cargo wants the files of every target that Cargo.toml names, built or not.
COPY . .
# --target is given even for the machine's own: without it crt-static would apply to build scripts and proc macros as well,
# which cannot be loaded then.
RUN --mount=type=cache,target=/cache/cargo/registry \
    --mount=type=cache,target=/cache/target \
    export CARGO_HOME CARGO_TARGET_DIR RUSTFLAGS="-C target-feature=+crt-static" \
    && cargo build --release --locked ${CARGO_FLAGS} --target "${TARGET}" --bin portcullis \
    && cp "${CARGO_TARGET_DIR}/${TARGET}/release/portcullis" /portcullis

FROM scratch
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="portcullis" \
      org.opencontainers.image.description="A validating admission webhook that keeps every Kubernetes workload micro-segmented, and says why it refuses" \
      org.opencontainers.image.source="https://github.com/portcullis-dev/portcullis" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /portcullis /portcullis
# By number, so that runAsNonRoot can be checked without a user database.
USER 65532:65532
EXPOSE 10250 8080
ENTRYPOINT ["/portcullis"]
