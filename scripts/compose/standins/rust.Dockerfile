# Stand-in for the image of Rust: the toolchain of this machine, which scripts/compose/standins.sh has compared
# with the version that the image's name says, and Debian's C compiler.
ARG DEBIAN_IMAGE
ARG TOOLCHAIN_IMAGE=scratch
FROM ${DEBIAN_IMAGE} AS toolchain
RUN apt-get update \
 && apt-get install -y --no-install-recommends gcc libc6-dev make \
 && rm -rf /var/lib/apt/lists/*
ADD toolchain.tar /usr/local/rustup/
ENV CARGO_HOME=/usr/local/cargo \
    PATH=/usr/local/cargo/bin:/usr/local/rustup/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

# With the crates that Cargo.lock names, and what an earlier run has compiled of them.
FROM ${TOOLCHAIN_IMAGE} AS rust
COPY config.toml /usr/local/cargo/
ADD crates.tar compiled.tar /usr/local/cargo/
