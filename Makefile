# Every target installs what it needs and the machine lacks (tests/install-tools.sh), as root; but for Rust.

.DEFAULT_GOAL := help
.PHONY: help build install generated sbom deb rpm demo test check unit integration packages vm test-vm bench soak \
	fuzz deny clean

export PATH := $(PATH):/usr/sbin:/sbin:$(HOME)/.cargo/bin
# Where .cargo/config.toml, by naming the target, puts what it builds. ($(shell) has make's own PATH.)
TARGET := $(shell PATH='$(PATH)' rustc -vV 2>/dev/null | sed -n 's/^host: //p')
HOOK := $(CURDIR)/target/$(TARGET)/release/oci-awsvpc-hook
# The same binary wherever it is built: without the paths of this checkout and of the crates' sources.
CARGO_HOME ?= $(HOME)/.cargo
REMAP := "--remap-path-prefix=$(CARGO_HOME)=/cargo","--remap-path-prefix=$(CURDIR)=/oci-awsvpc-hook"
# The time of the last change, for all that carries a date.
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || stat -c %Y CHANGELOG.md)
export SOURCE_DATE_EPOCH
export CARGO_TERM_COLOR ?= auto

# The machine's own root, or root of no more than a user namespace?
REAL_ROOT := $(shell [ "$$(id -u)" -eq 0 ] && grep -q '4294967295$$' /proc/self/uid_map && echo yes)

help:
	@sed -n 's/^\([a-z-]*\):.* ## /  make \1\t/p; s/^## /\n/p' $(MAKEFILE_LIST) | expand -t 20

## To use it

build: ## the programs, static, as they ship
	@tests/install-tools.sh build
	cargo build --release --locked --target $(TARGET) --config 'target.$(TARGET).rustflags=[$(REMAP)]'
	@ls -l $(HOOK) $(HOOK:hook=runtime)

# What the packages contain, below target/packaging; DESTDIR is another root to install into.
PACKAGING := $(CURDIR)/target/packaging
GENERATED := $(PACKAGING)/generated
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
ARCH := $(firstword $(subst -, ,$(TARGET)))
UNITS := $(notdir $(wildcard packaging/systemd/*))

install: build generated ## all that belongs to it, into this machine (or DESTDIR)
	packaging/install.sh $(dir $(HOOK)) $(GENERATED) "$(DESTDIR)"

sbom: ## what the programs are made of: target/packaging/generated/sbom.cdx.json (CycloneDX)
	@tests/install-tools.sh packages
	@mkdir -p $(GENERATED)
	cargo cyclonedx -q --format json --spec-version 1.5 --target $(TARGET) --no-build-deps \
		--override-filename .sbom
	sed 's,file://$(CURDIR),file:///oci-awsvpc-hook,' .sbom.json >$(GENERATED)/sbom.cdx.json
	@rm .sbom.json

# The registration files are looked at before they go into anything: podman fails every container
# over a malformed one.
generated: sbom
	cargo test --quiet --locked --test hooks_d
	cargo run --quiet --locked --example generate -- $(GENERATED) \
		$$(date -u -d @$(SOURCE_DATE_EPOCH) +%F)

deb: build generated ## a package for Debian and Ubuntu: target/packaging/*.deb
	@rm -rf $(PACKAGING)/deb && mkdir -p $(PACKAGING)/deb
	packaging/install.sh $(dir $(HOOK)) $(GENERATED) $(PACKAGING)/deb/root /usr/share/zsh/vendor-completions
	printf '%s (%s-1) unstable; urgency=medium\n\n  * What is new is in changelog.gz.\n\n -- %s  %s\n' \
		oci-awsvpc-hook $(VERSION) "$$(sed -n 's/^maintainer = "\(.*\)"/\1/p' Cargo.toml)" \
		"$$(date -u -R -d @$(SOURCE_DATE_EPOCH))" >$(PACKAGING)/deb/changelog
	cargo deb --quiet --locked --offline --no-build --no-strip --target $(TARGET) \
		--deb-version $(VERSION)-1 --output $(PACKAGING)/

rpm: build generated ## a package for Amazon Linux, Fedora and RHEL: target/packaging/*.rpm
	@rm -rf $(PACKAGING)/rpm
	packaging/install.sh $(dir $(HOOK)) $(GENERATED) $(PACKAGING)/rpm/root
	rpmbuild -bb --quiet --target $(ARCH)-linux --define '_topdir $(PACKAGING)/rpm' \
		--define '_rpmdir $(PACKAGING)' --define '_rpmfilename %{NAME}-%{VERSION}-%{RELEASE}.%{ARCH}.rpm' \
		--define 'version $(VERSION)' --define 'units $(UNITS)' \
		--define "day $$(LC_ALL=C date -u -d @$(SOURCE_DATE_EPOCH) '+%a %b %d %Y')" \
		--define 'stage $(PACKAGING)/rpm/root' --define 'packaging $(CURDIR)/packaging' \
		packaging/rpm/oci-awsvpc-hook.spec

## To work on it

demo: build ## a task with the awsvpc network, under real runc
	@tests/install-tools.sh run
	@tests/demo.sh $(HOOK)

test: check unit integration packages vm ## everything that must hold

check: deny ## formatting, lints, documentation, dependencies
	@tests/install-tools.sh build
	cargo fmt --all -- --check
	cargo clippy --locked --all-targets -- --deny warnings
	RUSTDOCFLAGS='--deny warnings' cargo doc --locked --no-deps --document-private-items --quiet

unit: ## the pure modules: examples, properties, and the fuzzers' corpus; links between the documents
	cargo test --locked --lib --test properties --test corpus --test hooks_d --test wings --test documents

# The tests drive the binary that ships. As real root, all of them run, and all that can also run
# in a user namespace; without, the latter, and the others are listed as ignored.
# Those that repeat something many times do so once.
AGAIN := $(if $(REAL_ROOT),$(addprefix --skip ,races:: kills:: host::teardown:: custody::anything::))

integration: build ## the programs under test, in network namespaces and under real engines
	@tests/install-tools.sh run
ifeq ($(REAL_ROOT),yes)
	@tests/install-tools.sh engines
	HOOK=$(HOOK) cargo test --locked --test it -- --include-ignored
else
	@echo 'NOT RUN: the tests that are listed as ignored below; they need real root' >&2
endif
	HOOK=$(HOOK) unshare --user --map-root-user -- cargo test --locked --test it -- $(AGAIN)

packages: deb rpm ## both packages, installed on a copy of this machine, and built a second time
ifeq ($(REAL_ROOT)$(shell command -v dpkg >/dev/null && echo dpkg),yesdpkg)
	@tests/install-tools.sh run
	@tests/install-tools.sh packages-test
	@tests/packages.sh $(PACKAGING)
else
	@echo 'NOT RUN: tests/packages.sh, which installs the packages; it needs real root and dpkg' >&2
endif

ifeq ($(shell uname -m)$(shell command -v apt-get >/dev/null && echo apt),x86_64apt)
vm: build
	@tests/install-tools.sh run
	@tests/install-tools.sh vm
	@KERNEL=6.1 tests/vm/run.sh $(HOOK)
	@for kernel in 5.10 7; do KERNEL=$$kernel tests/vm/run.sh $(HOOK) core || exit 1; done
else
vm:
	@echo 'NOT RUN: tests/vm/run.sh, all tests with real NICs; it needs Debian on x86-64' >&2
endif

# KERNEL=5.10, 6.1, 6.12 or 7; TOPICS=trunk runs the checks in tests/vm/guest/trunk.sh only.
KERNEL ?= 6.1

test-vm: build ## real NICs, in a virtual machine: plugged, unplugged, and sent home by the kernel
	@tests/install-tools.sh run
	@tests/install-tools.sh vm
	@KERNEL=$(KERNEL) tests/vm/run.sh $(HOOK) $(TOPICS)

# The benches are a package of their own; what they print and plot is in target/bench.
ROUNDS ?= 40

bench: build ## against the clock: the hook, the floor below it, the CNI plugins, /bin/true
	@tests/install-tools.sh run
	@tests/install-tools.sh bench
	cargo build --release --locked --manifest-path benches/Cargo.toml --target-dir target/benches
	target/benches/$(TARGET)/release/oci-awsvpc-hook-benches $(HOOK) \
		target/benches/$(TARGET)/release/floor target/bench $(ROUNDS)

soak: build ## a thousand kill-and-heal rounds in a row
	@tests/install-tools.sh run
	HOOK=$(HOOK) ROUNDS=1000 cargo test --locked --test it -- --nocapture kills::at_any_moment

# The fuzzers want a nightly compiler. What they find new goes into the first folder, not into the
# corpus that is kept.
FUZZERS := state annotations alias config
SECONDS ?= 60

fuzz: ## a minute of fuzzing for each parser
	command -v cargo-fuzz >/dev/null || cargo install --locked cargo-fuzz
	for target in $(FUZZERS); do \
		mkdir -p fuzz/target/found/$$target; \
		cargo +nightly fuzz run --target $(TARGET) $$target fuzz/target/found/$$target \
			fuzz/corpus/$$target -- -max_total_time=$(SECONDS) -max_len=65536 || exit 1; \
	done

# The advisories are a repository of their own, which not every machine can reach: then it says so.
deny: ## licences, sources, bans of all dependencies, and advisories about them
	@tests/install-tools.sh deny
	cargo deny --all-features --locked check bans licenses sources
	@if cargo deny fetch db; then \
		cargo deny --all-features --locked check --disable-fetch advisories; \
	else \
		echo 'NOT CHECKED: advisories; their database cannot be fetched from here' >&2; \
	fi

clean: ## forget what was built
	cargo clean
