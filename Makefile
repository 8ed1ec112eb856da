# make demo and make test do all the set-up themselves; they need Rust, and root for what they
# install and for runc.

.DEFAULT_GOAL := help
.PHONY: help build demo test check unit integration test-vm soak fuzz deny clean

export PATH := $(PATH):/usr/sbin:/sbin:$(HOME)/.cargo/bin
# Where .cargo/config.toml, by naming the target, puts what it builds. ($(shell) has make's own PATH.)
TARGET := $(shell PATH='$(PATH)' rustc -vV 2>/dev/null | sed -n 's/^host: //p')
HOOK := $(CURDIR)/target/$(TARGET)/release/oci-awsvpc-hook
export CARGO_TERM_COLOR ?= auto

# The machine's own root, or root of no more than a user namespace?
REAL_ROOT := $(shell [ "$$(id -u)" -eq 0 ] && grep -q '4294967295$$' /proc/self/uid_map && echo yes)

help: ## what there is to make
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 20

build: ## the hook, static, as it ships
	@tests/setup.sh build
	cargo build --release --locked
	@ls -l $(HOOK) $(HOOK:hook=runtime)

demo: build ## a task with the awsvpc network, under real runc
	@tests/setup.sh run
	@tests/demo.sh $(HOOK)

test: check unit integration ## everything that must hold

check: ## formatting, lints, documentation
	@tests/setup.sh build
	cargo fmt --all -- --check
	cargo clippy --locked --all-targets -- --deny warnings
	RUSTDOCFLAGS='--deny warnings' cargo doc --locked --no-deps --document-private-items --quiet

unit: ## the pure modules: examples, properties, and the fuzzers' corpus
	cargo test --locked --lib --test properties --test corpus

# The tests drive the binary that ships. As real root, all of them run, and all that can also run
# in a user namespace; without, the latter, and the others are listed as ignored.
integration: build
	@tests/setup.sh run
ifeq ($(REAL_ROOT),yes)
	@tests/setup.sh engines
	HOOK=$(HOOK) cargo test --locked --test it -- --include-ignored
endif
	HOOK=$(HOOK) unshare --user --map-root-user -- cargo test --locked --test it

test-vm: build ## real NICs, in a virtual machine: plugged, unplugged, and sent home by the kernel
	@tests/setup.sh run
	@tests/setup.sh vm
	@tests/vm/run.sh $(HOOK)

soak: build ## a thousand kill-and-heal rounds in a row
	@tests/setup.sh run
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

deny: ## licences, sources and bans of all dependencies
	command -v cargo-deny >/dev/null || cargo install --locked cargo-deny
	cargo deny --all-features check bans licenses sources

clean: ## forget what was built
	cargo clean
