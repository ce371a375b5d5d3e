# shellcheck shell=bash
# Builds what stands for the public images, under the names that the Dockerfile and docker-compose.yml use, where
# images cannot be pulled. What takes long is kept in the cache folder.
# shellcheck disable=SC2154  # here, run, cache and kcp are set by scripts/compose-test.sh

standins=$here/compose/standins
rust_version=$(sed -n 's/^ARG RUST=//p' deploy/docker/Dockerfile)
debian_version=$(sed -n 's/^ARG DEBIAN=//p' deploy/docker/Dockerfile)
debian_image=debian:$debian_version-slim
rust_image=rust:$rust_version-$debian_version
kcp_image=$(sed -n 's/^x-kcp-image: &kcp-image //p' docker-compose.yml)
rabbitmq_image=$(sed -n 's/^ *image: \(rabbitmq:.*\)/\1/p' docker-compose.yml)
toolchain_image=isc-standin-toolchain

# keep NAME FILE: FILE becomes the only version of NAME in the cache.
keep() {
    local old
    for old in "$cache/$1"-*.tar; do [ "$old" = "$2" ] || rm -f "$old"; done
    mv "$2.new" "$2"
}

short_sum() { sha256sum | cut -c1-16; }

# The mirror is the one that this machine's apt uses.
debian_root() {
    local root=$run/debian mirror=
    # shellcheck disable=SC2016  # apt's words
    mirror=$(apt-get indextargets --format '$(SITE)' "Codename: $debian_version" 2>/dev/null | head -n 1) || true
    # shellcheck disable=SC2086  # no mirror is no argument
    debootstrap --variant=minbase "$debian_version" "$root" $mirror
    rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*
    tar -C "$root" -cf "$1.new" .
    rm -rf "$root"
}

import_debian() {
    local file=$cache/debian-$debian_version.tar
    if [ ! -e "$file" ]; then
        debian_root "$file"
        keep debian "$file"
    fi
    docker import --change 'CMD ["bash"]' "$file" "$debian_image"
}

standin() { # DOCKERFILE IMAGE ARGUMENT...
    local file=$standins/$1.Dockerfile image=$2
    shift 2
    docker build --file "$file" --build-arg "DEBIAN_IMAGE=$debian_image" --tag "$image" "$@" "$run/context"
}

# The public images, but for the crates in the one of Rust.
build_standins() {
    mkdir "$run/context"
    cp "$standins/rabbitmq-entrypoint.sh" "$kcp" "$run/context/"
    cp "$(readlink -f "$(command -v kubectl)")" "$run/context/kubectl"
    tar -C "$(rustc --print sysroot)" --exclude lib/rustlib/src -cf "$run/context/toolchain.tar" bin lib
    import_debian
    standin kcp "$kcp_image"
    standin rabbitmq "$rabbitmq_image"
    standin rust "$toolchain_image" --target toolchain
    docker save --output "$1.new" "$debian_image" "$kcp_image" "$rabbitmq_image" "$toolchain_image"
    keep standins "$1"
    rm -rf "$run/context"
}

load_standins() {
    local key file
    key=$({ cat "$standins"/*; "$kcp" --version; rustc -V; kubectl version --client
        echo "$debian_image $kcp_image $rabbitmq_image"; } | short_sum)
    file=$cache/standins-$key.tar
    if [ -e "$file" ]; then docker load --input "$file"; else build_standins "$file"; fi
}

# All crates of Cargo.lock, from cargo's own cache or the registry.
pack_crates() {
    cargo vendor --locked --versioned-dirs "$run/crates" >/dev/null
    tar -C "$run" -cf "$1.new" crates
    keep crates "$1"
    rm -rf "$run/crates"
}

lock_key() { { cat Cargo.lock; rustc -V; } | short_sum; }

# The image of Rust, with the crates and what an earlier run has compiled of them.
load_rust() {
    local crates compiled
    crates=$cache/crates-$(short_sum <Cargo.lock).tar
    compiled=$cache/compiled-$(lock_key).tar
    if [ ! -e "$crates" ]; then pack_crates "$crates"; fi
    mkdir "$run/context"
    cp "$standins/cargo.toml" "$run/context/config.toml"
    ln "$crates" "$run/context/crates.tar"
    if [ -e "$compiled" ]; then
        ln "$compiled" "$run/context/compiled.tar"
    else
        tar -cf "$run/context/compiled.tar" -T /dev/null
    fi
    standin rust "$rust_image" --target rust --build-arg "TOOLCHAIN_IMAGE=$toolchain_image"
    rm -rf "$run/context"
}

# What this build has compiled of other people's crates; the project's own are compiled anew in every run.
keep_compiled() {
    local file
    file=$cache/compiled-$(lock_key).tar
    if [ -e "$file" ]; then return; fi
    docker build --file deploy/docker/Dockerfile --target builder --tag isc-builder .
    docker run --rm --network none --entrypoint tar isc-builder -C /usr/local/cargo \
        --exclude 'isc[-_]*' --exclude 'libisc_*' -cf - compiled >"$file.new"
    keep compiled "$file"
}
