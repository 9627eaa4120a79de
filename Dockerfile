# Both programs, static, in an image with nothing else:
#   docker build -t registry.example/weir:0.1.0 .
FROM rust:1.95-bookworm AS build
RUN apt-get update \
 && apt-get install --yes --no-install-recommends musl-tools \
 && rm -rf /var/lib/apt/lists/* \
 && rustup target add "$(uname -m)-unknown-linux-musl"
WORKDIR /src
COPY . .
RUN target="$(uname -m)-unknown-linux-musl" \
 && cargo build --locked --release --target "$target" --package weir-operator --package weir-dataplane --bins \
 && mkdir /out \
 && cp "target/$target/release/weir-operator" "target/$target/release/weir-dataplane" /out/

# Public certificate roots are compiled in.
FROM scratch
COPY --from=build /out/ /
USER 65532:65532
ENTRYPOINT ["/weir-operator"]
