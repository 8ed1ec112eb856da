#!/bin/sh
# Puts everything that is installed below a root: of a package that is being made, or of this machine.
#
#   packaging/install.sh BINARIES GENERATED ROOT [ZSH]
#
# BINARIES and GENERATED are the folders that cargo and packaging/generate have written to, ROOT may be
# empty, ZSH is where zsh looks for completions.
set -eu
umask 022

binaries=$1 generated=$2 root=$3 zsh=${4:-/usr/share/zsh/site-functions}
cd "$(dirname "$0")/.."
doc=/usr/share/doc/oci-awsvpc-hook

# put MODE FOLDER FILE...
put() {
    mode=$1 folder=$root$2
    shift 2
    install -D -m "$mode" -t "$folder" "$@"
}

# The binary before its registration: an engine may start a container in between.
put 755 /usr/libexec/oci/hooks.d "$binaries/oci-awsvpc-hook"
mkdir -p "$root/usr/sbin"
ln -sf ../libexec/oci/hooks.d/oci-awsvpc-hook "$root/usr/sbin/oci-awsvpc-hook"
put 755 /usr/bin "$binaries/oci-awsvpc-runtime"
# What is edited stays.
[ -e "$root/etc/oci-awsvpc-hook/config.toml" ] || put 644 /etc/oci-awsvpc-hook packaging/config.toml
put 644 /usr/share/containers/oci/hooks.d hooks.d/*.json
put 644 /usr/lib/systemd/system packaging/systemd/*

put 644 /usr/share/man/man1 "$generated"/oci-awsvpc-*.1
put 644 /usr/share/man/man5 "$generated/oci-awsvpc-hook.5"
put 644 "$zsh" "$generated/_oci-awsvpc-hook"
put 644 /usr/share/fish/vendor_completions.d "$generated/oci-awsvpc-hook.fish"
install -D -m 644 "$generated/oci-awsvpc-hook.bash" \
    "$root/usr/share/bash-completion/completions/oci-awsvpc-hook"

# In folders as here, so that the links between the pages work there, too.
put 644 $doc README.md "$generated/sbom.cdx.json" "$generated/third-party-licences.txt"
put 644 $doc/docs docs/*
put 644 $doc/packaging/integration packaging/integration/*
put 644 $doc/packaging/engines packaging/engines/*
install -m 644 CHANGELOG.md "$root$doc/changelog"
