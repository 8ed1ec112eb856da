#!/bin/bash
# The packages: what they contain, whether a second build gives the same, and what comes of them on a
# machine. `make packages` calls this.
#
#   tests/packages.sh FOLDER    where the packages are
#
# Needs root, for the boxes.
set -u -o pipefail
. "$(dirname "$0")/packages/lib.sh"
folder=$(realpath "$1")
cd "$(dirname "$0")/.." || exit
deb=$(echo "$folder"/oci-awsvpc-hook_*.deb)
rpm=$(echo "$folder"/oci-awsvpc-hook-*.rpm)
[ "$(id -u)" -eq 0 ] || { echo "the tests of the packages need root: they install them" >&2; exit 1; }

step "What the packages contain"
claim "lintian finds nothing" lintian --allow-root -I --pedantic --fail-on error,warning,info,pedantic "$deb"
found=$(rpmlint --config packaging/rpm/rpmlint.toml "$rpm") || echo "$found"
claim "rpmlint finds nothing" grep -q ' 0 errors, 0 warnings' <<<"$found"
# But for what each distribution wants for itself.
files_of_deb() {
    dpkg-deb --fsys-tarfile "$deb" | tar -t | sed 's,^\.,,' | grep -v '/$' |
        grep -vE '^/usr/share/(lintian/|doc/.*/(copyright|changelog.Debian.gz)$)'
}
files_of_rpm() {
    rpm -qp --qf '[%{FILEMODES:perms} %{FILENAMES}\n]' "$rpm" | sed -n 's/^[^d][^ ]* //p' |
        grep -vE '^/usr/(share/licenses|lib/systemd/system-preset)/' |
        sed 's,zsh/site-functions,zsh/vendor-completions,; s,/changelog$,&.gz,'
}
claim "they contain the same files" is "$(files_of_rpm | sort)" "$(files_of_deb | sort)"
# shellcheck disable=SC2012 # no name here has anything odd in it
claim "they register the hook as hooks.d of the sources does, for applications too" \
    is "$(files_of_deb | grep '/oci/hooks.d/.*json$' | xargs -n 1 basename)" "$(ls hooks.d)"
for page in oci-awsvpc-hook.1 oci-awsvpc-runtime.1 oci-awsvpc-hook.5; do
    claim "the page $page is right for every terminal" \
        is "$(LC_ALL=C man --warnings=w -l "$folder/generated/$page" 2>&1 >/dev/null)" ""
done
# Not by the program that wrote the page.
shown() { sed -n 's/^#\([a-z0-9.-]* = .*\)/\1/p' packaging/config.toml; }
page=$(MANWIDTH=200 man -l "$folder/generated/oci-awsvpc-hook.5" | col -b | sed 's/^ *//')
claim "the configuration has keys" [ "$(shown | wc -l)" -gt 10 ]
claim "its page shows every key and its default" is "$(shown | grep -vxF "$page")" ""
commands() { "$folder/deb/root/usr/sbin/oci-awsvpc-hook" --help | sed -n '/^Commands:/,/^$/s/^  \([a-zA-Z-]*\) .*/\1/p'; }
page=$(MANWIDTH=200 man -l "$folder/generated/oci-awsvpc-hook.1" | col -b)
for command in $(commands | grep -vx help); do
    claim "the program's page explains $command" grep -qE "^ +$command( |$)" <<<"$page"
    # shellcheck disable=SC2016 # for the inner shell
    claim "bash completes $command" bash -c '. "$1"; COMP_WORDS=(oci-awsvpc-hook "${2:0:2}") COMP_CWORD=1
        $(complete -p oci-awsvpc-hook | sed "s/.*-F \([^ ]*\) .*/\1/") oci-awsvpc-hook "${2:0:2}" oci-awsvpc-hook; printf "%s\n" "${COMPREPLY[@]}" | grep -qx -- "$2"' \
        bash "$folder/generated/oci-awsvpc-hook.bash" "$command"
done
claim "the SBOM names what the binary is made of, and nothing of the tests" sh -c "
    grep -q 'pkg:cargo/rtnetlink@' '$folder/generated/sbom.cdx.json' &&
    ! grep -q 'pkg:cargo/proptest@' '$folder/generated/sbom.cdx.json'"
claim "links between the installed pages lead somewhere" \
    env PAGES="$folder/deb/root/usr/share/doc/oci-awsvpc-hook" cargo test --quiet --locked --test documents
claim "the licences of others are there" grep -q '^rtnetlink ' "$folder/generated/third-party-licences.txt"
for binary in usr/libexec/oci/hooks.d/oci-awsvpc-hook usr/bin/oci-awsvpc-runtime; do
    claim "/$binary is static" sh -c "! readelf -l '$folder/deb/root/$binary' | grep -q INTERP"
    claim "/$binary knows nothing of where it was built" \
        cannot grep -aqF -e "$PWD" -e "${CARGO_HOME:-$HOME/.cargo}" "$folder/deb/root/$binary"
done

step "A second checkout, elsewhere: the same packages"
second=$(mktemp -d)
trap 'rm -rf "$second"' EXIT
checkout=$second/at/another/path
mkdir -p "$checkout"
tar -c --exclude=./target --exclude=./fuzz/target --exclude=./.git . | tar -x -C "$checkout"
# Not a repository: the date of its last change is this one's.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export SOURCE_DATE_EPOCH
again() { make -C "$checkout" "$@" >"$second/log" 2>&1 || cat "$second/log"; }
again deb rpm
for package in "$deb" "$rpm"; do
    claim "$(basename "$package") is the same, byte for byte" \
        cmp "$package" "$checkout/target/packaging/$(basename "$package")"
done

step "A malformed registration"
sed -i 's/"annotations"/"annotation"/' "$checkout/hooks.d/oci-awsvpc-hook-prestart.json"
claim "no package is made of it" cannot make -C "$checkout" deb
cp hooks.d/*.json "$checkout/hooks.d/"

# A newer version, with another configuration.
sed -i 's/^# Every key is shown/# Now every key is shown/' "$checkout/packaging/config.toml"
again deb rpm VERSION=99.0.0
mkdir -p "$folder/newer"
cp "$checkout"/target/packaging/*99.0.0*.{deb,rpm} "$folder/newer/"

for box in deb rpm; do
    step "The $box package, on a copy of this machine"
    tests/packages/box.sh "$folder" "/box/tests/$box.sh" || failed=$((failed + 1))
done
verdict
