# SPDX-License-Identifier: Apache-2.0
# Baton: `make' lists the commands.

# Given on the command line, or in the environment.
export SMP MEM CPU QEMU QEMU_ARGS MONITOR ITS GIC BATON KERNEL INITRD APPEND TIMEOUT GENERATIONS QUICK ONLY SIZES N CHUNK \
	WAY FS DTB GDB_PORT CLANG LIMIT BOOT HUNG

CACHE := $(or $(BATON_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/baton)
TARGET := $(or $(CARGO_TARGET_DIR),$(CURDIR)/target)
export BATON_CACHE := $(CACHE)
export CARGO_TARGET_DIR := $(TARGET)
export BATON_KERNELS := $(CACHE)/kernels
export BATON_COMMAND := $(TARGET)/aarch64-unknown-linux-gnu/command/baton

HOST := platform/host
CARGO := $(HOST)/cargo.sh
BARE := $(TARGET)/aarch64-unknown-none-softfloat/release
TOOL := $(TARGET)/release/baton-qemu

# The kernel that WAY=shim has unless it is told another: one that kexecs in lockdown.
SECURE := $(TARGET)/guest/secure
SHIM := $(if $(KERNEL),,$(if $(filter shim,$(WAY)),$(filter run shell debug stock,$(MAKECMDGOALS))))
ifneq ($(SHIM),)
KERNEL := $(SECURE)/Image
INITRD := $(SECURE)/initramfs.cpio
endif

# KERNEL= of run, shell, debug and stock, else Debian's; it is in the initramfs too, to be kexecked.
OWN_KERNEL := $(if $(filter run shell debug stock,$(MAKECMDGOALS)),$(KERNEL))
OWN_INITRD := $(if $(filter run shell debug,$(MAKECMDGOALS)),$(INITRD))
RELEASE := $(or $(BATON_RELEASE),bookworm)
INITRAMFS := $(TARGET)/guest/initramfs$(if $(BATON_RELEASE),-$(RELEASE))$(subst /,-,$(OWN_KERNEL)).cpio
export BATON_LINUX := $(or $(OWN_KERNEL),$(CACHE)/debian/$(RELEASE)/Image)
export BATON_INITRAMFS := $(or $(OWN_INITRD),$(INITRAMFS))

# EDK2 of FIRMWARE_RELEASE=, else of the Debian that this machine runs.
ifdef FIRMWARE_RELEASE
export BATON_EDK2 := $(CACHE)/edk2/$(FIRMWARE_RELEASE)/QEMU_EFI.fd
endif

# Debian's kernels for `make kernels', the two that `make test' has, and the newest that `make test-long' has too.
KERNELS := bookworm bookworm:cloud bookworm:rt trixie trixie:16k sid
TEST_KERNELS := bookworm trixie $(if $(filter test-long,$(MAKECMDGOALS)),sid)
export BATON_KERNEL_DISK := $(TARGET)/guest/$(if $(filter kernels,$(MAKECMDGOALS)),kernels,$(or $(filter test-long,$(MAKECMDGOALS)),test)-kernels).tar

# Bytes that the monitor's image may have.
IMAGE_MAX := 655360

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the commands
	@echo 'Baton carries an arm64 machine from one kernel to the next in milliseconds.'
	@echo
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(firstword $(MAKEFILE_LIST)) | \
		awk -F '\t' '{ printf "  make %-14s %s\n", $$1, $$2 }'
	@echo
	@echo 'Variables (VARIABLE=value behind the command):'
	@echo '  SMP=80            vCPUs (run, try, stock, crash, soak: 80; bench-idle, soak with Debian: 8; others: 4)'
	@echo '  MEM=2G            memory'
	@echo '  CPU=cortex-a57    the model of CPU, as QEMU names it'
	@echo '  QEMU=path         another QEMU than qemu-system-aarch64'
	@echo '  QEMU_ARGS=...     more arguments of QEMU'
	@echo '  BOOT=uefi         firmware with ACPI starts it, from an EFI system partition (run, try, shell, stock, guest, kernels,'
	@echo '                    audit, soak, bench-idle)'
	@echo '  WAY=conf          how firmware comes by it: conf, options, driver, removable, grub, systemd-boot,'
	@echo '                    shim with Secure Boot (BOOT=uefi)'
	@echo '  FIRMWARE_RELEASE=trixie   the Debian that EDK2 is from (BOOT=uefi, distro)'
	@echo '  MONITOR=off       the same guest on plain QEMU, without the monitor'
	@echo '  ITS=off           a machine without an ITS'
	@echo '  GIC=2             a machine with a GICv2: 8 vCPUs at most'
	@echo '  GENERATIONS=10    how often "make its" kexecs (10), and "make run" (1)'
	@echo '  KERNELS="..."     the kernels of "make kernels": RELEASE or RELEASE:FLAVOUR'
	@echo '  ONLY="gcc 64k"    the kernels of "make kernels-built": words of platform/host/guest/built/matrix'
	@echo '  CLANG=16 LIMIT=7200   its version of clang, and the seconds that one build may take'
	@echo '  HUNG=40           CPUs that hang when Linux panics (crash; half of them)'
	@echo "  BATON=...         the monitor's command line: hooks=off, log=debug"
	@echo '  KERNEL= INITRD= APPEND=   the guest of "make guest", card and fit; of run, shell and debug too'
	@echo '  BOARD=virt WAY=script FS=fat   the board, way to start and file system of "make card"'
	@echo '  DTB=file          the device tree of "make fit" (the default is QEMU'"'"'s)'
	@echo '  BOARD=zynqmp      the board of "make board": a folder in platform/'
	@echo '  BOOT=uefi FIRMWARE=edk2   the one way of "make distro": a server'"'"'s, or edk2 or u-boot in the guest'
	@echo '  DISK=file         a disk to start in "make distro", raw or *.qcow2, its console here'
	@echo '  BATON_RELEASE=bookworm BATON_CACHE=~/.cache/baton   the Debian of the guest; where it is kept'
	@echo '  GDB_PORT=1234     the port on which "make debug" waits for gdb'
	@echo '  TIMEOUT=seconds   when to give up (guest: 3600; debug: never); not for shell, soak, bench and DISK='
	@echo '  QUICK=1           fewer samples and sizes (bench, bench-idle)'
	@echo '  N=1000 CHUNK=s    how many kexecs, and for how long now (soak)'
	@echo '  ONLY= SIZES=      the columns and the numbers of vCPUs to measure now (bench)'
	@echo '  FUZZ= SECONDS=600 what to fuzz, and how long each'

.PHONY: setup
setup: ## install what is needed (on Debian, as root); the others do it by themselves
	@$(HOST)/setup.sh $(filter uefi,$(BOOT))
	@$(if $(FIRMWARE_RELEASE),$(HOST)/fetch.sh edk2 $(FIRMWARE_RELEASE))

.PHONY: build
build: $(if $(filter off,$(MONITOR)),tool,images tool) ## build the monitor, the probe guest and the host's tool

.PHONY: images
images: setup
	@$(CARGO) target build --release -p baton -p probe -p firmware -p faults
	@llvm-objcopy -O binary $(BARE)/baton $(BARE)/baton.img
	@cp $(BARE)/baton.img $(BARE)/baton.efi
	@llvm-objcopy -O binary $(BARE)/probe $(BARE)/probe.img
	@llvm-objcopy -O binary --remove-section=.head $(BARE)/probe $(BARE)/probe-flat.img
	@llvm-objcopy -O binary $(BARE)/firmware $(BARE)/firmware.img
	@llvm-objcopy -O binary $(BARE)/faults $(BARE)/faults.efi
	@size=$$(wc -c <$(BARE)/baton.img); echo "  baton.img: $$size bytes of at most $(IMAGE_MAX)"; \
		[ $$size -le $(IMAGE_MAX) ] || { echo "error: the monitor's image is too large" >&2; exit 1; }

.PHONY: tool
tool: setup
	@$(CARGO) host build --quiet --release -p baton-qemu

.PHONY: efi
efi: images tool ## the monitor for an EFI system partition: target/efi/baton.efi, baton-driver.efi
	@$(TOOL) efi $(TARGET)/efi

.PHONY: command
command: setup
	@$(HOST)/setup.sh deb
	@$(CARGO) linux build --quiet --profile command -p baton-command

.PHONY: deb
deb: efi command ## a package for Debian on arm64: target/deb/baton_VERSION_arm64.deb
	@platform/linux/deb.sh $(BATON_COMMAND) $(TARGET)/efi $(TARGET)/deb
	@lintian --allow-root --fail-on error $(TARGET)/deb/*.deb

.PHONY: linux
linux: setup
	@$(HOST)/fetch.sh userland
	@$(HOST)/fetch.sh kernel
	@$(HOST)/guest/initramfs.sh kexec $(BATON_LINUX) $(INITRAMFS)

# The boot loaders of WAY=, and the machine owner's key.
.PHONY: loaders
loaders: setup
	@$(HOST)/setup.sh secure-boot
	@$(HOST)/fetch.sh grub
	@$(HOST)/fetch.sh systemd-boot
	@$(HOST)/fetch.sh secure-boot
	@$(HOST)/guest/sign.sh $(TARGET)/guest/keys

# Debian's kernels for arm64 cannot kexec in lockdown: they have no kexec_file_load().
.PHONY: secure-kernel
secure-kernel: loaders
	@$(HOST)/fetch.sh userland
	@$(HOST)/setup.sh kernels-built
	@$(HOST)/guest/kernels-built.sh $(TARGET)/guest/built secure
	@$(HOST)/guest/sign.sh $(TARGET)/guest/keys $(CACHE)/kernels-built/6.1-gcc-secure/Image $(SECURE)/Image
	@$(HOST)/guest/initramfs.sh kexec $(SECURE)/Image $(SECURE)/initramfs.cpio

# What WAY= needs.
WAYS := $(if $(filter grub systemd-boot shim,$(WAY)),loaders) $(if $(SHIM),secure-kernel)

.PHONY: run
run: build $(WAYS) linux ## Linux on 80 vCPUs under the monitor: boot, kexec, report
	@$(if $(filter-out 1,$(GENERATIONS)),$(HOST)/guest/kernels.sh $(BENCH_DISK) $(or $(BATON_RELEASE),bookworm))
	@BATON_KERNEL_DISK=$(BENCH_DISK) $(TOOL) run

.PHONY: try
try: images tool linux ## Linux at EL2 kexecs the monitor with its own kernel behind it, and goes on below it
	@$(TOOL) try

.PHONY: shell
shell: build $(WAYS) linux ## a shell in the Linux guest
	@$(TOOL) shell

.PHONY: debug
debug: build $(WAYS) linux ## the same as run, in QEMU that waits for gdb before its first instruction
	@$(HOST)/setup.sh debug
	@$(TOOL) debug

.PHONY: guest
guest: build $(WAYS) ## any guest under the monitor: KERNEL= [INITRD=] [APPEND=]
	@$(TOOL) guest

# What boards other than QEMU's virt need.
.PHONY: boards
boards: images linux
	@$(HOST)/setup.sh boards
	@$(HOST)/fetch.sh dtbs

.PHONY: board
board: boards ## Linux on a board that QEMU models, to its second kernel: BOARD=zynqmp
	@$(HOST)/run/board.sh $(BOARD)

.PHONY: stock
stock: tool $(WAYS) linux ## time the same kexec without the monitor
	@$(TOOL) stock

.PHONY: its
its: build linux ## kexec with an ITS: dies without the monitor, lives with it
	@$(TOOL) its

.PHONY: crash
crash: build linux ## Linux panics on 80 vCPUs, HUNG=40 of them hung: the dump and the crash kernel, beside stock
	@$(TOOL) crash

.PHONY: kernels
kernels: build linux ## a kexec from each of Debian's kernels to each, and a table
	@$(HOST)/guest/kernels.sh $(BATON_KERNEL_DISK) $(KERNELS)
	@$(TOOL) kernels

.PHONY: kernels-built
kernels-built: build linux ## build small kernels with gcc and clang, LTO, CFI, pages of 16 and 64 KiB, lockdown; a kexec each
	@$(HOST)/setup.sh kernels-built
	@$(HOST)/guest/kernels-built.sh $(TARGET)/guest/built $(ONLY)
	@$(TOOL) kernels-built $(TARGET)/guest/built

# A board that U-Boot starts: its folder in platform/, with or without "qemu-" in front.
BOARD := virt
BOARD_DIR = $(or $(firstword $(wildcard platform/$(BOARD) platform/qemu-$(BOARD))),$(error BOARD=$(BOARD): no such folder in platform/))
U_BOOT := $(HOST)/u-boot
CARD = $(TARGET)/card/$(BOARD).$(if $(filter net,$(WAY)),tftp,img)
# The files for it, but for what the user names.
FILES = KERNEL='$(or $(KERNEL),$(BATON_LINUX))' INITRD='$(or $(INITRD),$(if $(KERNEL),,$(INITRAMFS)))'

.PHONY: u-boot
u-boot: images $(if $(KERNEL),,linux)
	@$(HOST)/setup.sh u-boot

.PHONY: fit
fit: u-boot ## a FIT image for U-Boot: monitor, KERNEL=, INITRD=, device tree DTB=
	@$(FILES) $(U_BOOT)/fit.sh $(BOARD_DIR) $(BARE)/baton.img '$(DTB)' $(TARGET)/card/$(BOARD).itb

.PHONY: card
card: $(if $(filter fit,$(WAY)),fit,u-boot) ## a card for U-Boot: BOARD=, WAY=script, fit, extlinux or net, KERNEL=, INITRD=
	@$(FILES) FIT=$(TARGET)/card/$(BOARD).itb \
		$(U_BOOT)/card.sh $(BOARD_DIR) $(BARE)/baton.img $(CARD)

# A card whose guest kexecs once, in QEMU.
TRY = BOARD=virt APPEND='console=ttyAMA0 earlycon panic=-1 baton.do=kexec' card
TRIED = $(TARGET)/card/virt.$(if $(filter net,$(WAY)),tftp,img)

.PHONY: run-card
run-card: tool ## U-Boot in QEMU starts the card of WAY=, Linux boots and kexecs
	@$(MAKE) --no-print-directory $(TRY)
	@$(TOOL) card $(TRIED)

.PHONY: run-tfa
run-tfa: tool ## the same above Trusted Firmware-A at EL3, built from Debian's source package
	@$(HOST)/setup.sh tfa
	@$(HOST)/tfa.sh
	@$(MAKE) --no-print-directory $(TRY)
	@EL3=on FIRMWARE=$(CACHE)/tfa/qemu_fw.bios $(TOOL) card $(TRIED)

DISTRO := $(CACHE)/distro/$(RELEASE).img
# A server's way first, then firmware as the guest.
DISTRO_WAYS := $(or $(FIRMWARE),uefi $(if $(filter uefi off,$(BOOT) $(MONITOR)),,edk2 u-boot))

.PHONY: distro-disk
distro-disk: setup
	@$(HOST)/setup.sh distro
	@$(HOST)/guest/distro.sh $(DISTRO)

# What the tests make a board of, beside that disk.
.PHONY: board-debs
board-debs: setup
	@$(HOST)/setup.sh u-boot
	@$(HOST)/fetch.sh u-boot-menu

.PHONY: distro
distro: images tool $(if $(DISK),,distro-disk) ## an installed Debian kexecs: started by UEFI as a server, then by firmware in the guest
	@$(if $(DISK),$(HOST)/setup.sh uefi)
	@$(if $(DISK),$(TOOL) installed $(or $(FIRMWARE),edk2) '$(DISK)',\
		for way in $(DISTRO_WAYS); do $(TOOL) distro $$way $(DISTRO) || exit 1; done)

# The cards of the tests: one for each way.
.PHONY: test-cards
test-cards: build linux
	@$(HOST)/setup.sh u-boot
	@$(U_BOOT)/test-cards.sh platform/qemu-virt $(BARE)/baton.img $(TARGET)/guest

# Firmware at EL3 for the tests of the crash interrupt.
.PHONY: tfa-sdei
tfa-sdei: setup
	@$(HOST)/setup.sh tfa
	@$(HOST)/tfa.sh sdei

# QEMU for the tests of an SMMU, beside the one that is installed.
.PHONY: qemu-10
qemu-10: setup
	@$(HOST)/fetch.sh qemu

# The disk of the tests that start by firmware in the guest.
.PHONY: test-esp
test-esp: linux
	@$(HOST)/setup.sh uefi
	@$(HOST)/fetch.sh grub
	@$(HOST)/fetch.sh edk2 trixie
	@$(HOST)/fetch.sh u-boot trixie
	@$(HOST)/guest/esp.sh $(TARGET)/guest/esp.img 4
	@$(HOST)/guest/esp.sh $(TARGET)/guest/esp-disk.img 2 baton.disk=on

# The kernel and the initrd of every kexec that is measured.
BENCH_DISK := $(TARGET)/guest/bench.tar
BENCH := $(TARGET)/tool/baton-bench

.PHONY: bench-tool
bench-tool: build linux
	@$(HOST)/setup.sh bench
	@$(HOST)/setup.sh uefi
	@$(CARGO) host build --quiet --profile tool -p baton-bench
	@$(HOST)/guest/kernels.sh $(BENCH_DISK) bookworm

.PHONY: bench
bench: bench-tool ## how long a machine is away, beside stock Linux (hours; QUICK=1: minutes)
	@$(BENCH) bench $(BENCH_DISK)

.PHONY: bench-idle
bench-idle: bench-tool ## the same work with and without the monitor, in instructions
	@$(BENCH) idle
	@$(if $(BOOT),,$(MAKE) --no-print-directory bench-idle-smmu)

# What reads a disk is a program of the guest's.
.PHONY: bench-idle-smmu
bench-idle-smmu: bench-tool qemu-10 ## reads of a disk behind an SMMU with and without the fence, in instructions
	@$(HOST)/setup.sh deb
	@$(CARGO) linux build --quiet --profile command -p baton-reads
	@$(BENCH) idle-smmu

.PHONY: bench-report
bench-report: bench-tool ## the report of the samples so far, in target/bench
	@$(BENCH) report $(BENCH_DISK)

.PHONY: bench-publish
bench-publish: bench-report ## copy the report and its plots to docs/bench
	@mkdir -p docs/bench
	@cp $(TARGET)/bench/report.md $(TARGET)/bench/report.csv $(TARGET)/bench/*.svg docs/bench/
	@for idle in idle idle-uefi idle-smmu; do [ ! -f $(TARGET)/bench/$$idle/report.md ] || \
		cp $(TARGET)/bench/$$idle/report.md docs/bench/$$idle.md || exit 1; done
	@echo '  docs/bench/report.md'

.PHONY: bench-test
bench-test: setup ## the tests of what measures
	@$(CARGO) host test --quiet --profile tool -p baton-bench

# What the tests in QEMU start from.
.PHONY: test-guests
test-guests: build command linux boards qemu-10 test-cards test-esp loaders
	@$(HOST)/guest/kernels.sh $(BATON_KERNEL_DISK) $(TEST_KERNELS)
	@for release in $(filter-out $(RELEASE),$(TEST_KERNELS)); do \
		$(HOST)/guest/initramfs.sh kexec $(CACHE)/debian/$$release/Image $(TARGET)/guest/initramfs-$$release.cpio || exit 1; done

.PHONY: test
test: test-guests races-quick ## all tests: on the host, and in QEMU
	@$(CARGO) host test --release -p baton -p baton-core -p baton-abi -p baton-sysreg -p probe -p baton-qemu -p baton-reads -p baton-imports -p baton-command
	@$(MAKE) --no-print-directory bench-test
	@tests/fuzz/run.sh build
	@tests/fuzz/run.sh check 3
	@$(CARGO) host test --release -p baton-tests -- --test-threads=2

# What reads the dumps of crashes.
.PHONY: dump-tools
dump-tools: linux
	@$(HOST)/fetch.sh makedumpfile
	@$(HOST)/fetch.sh drgn
	@$(HOST)/fetch.sh crash
	@$(HOST)/fetch.sh debug $(RELEASE)

.PHONY: test-long
test-long: test-guests secure-kernel deb distro-disk board-debs dump-tools tfa-sdei ## the tests in QEMU that take minutes each: more vCPUs, CPUs, kernels and kexecs
	@$(CARGO) host test --release -p baton-tests -- --ignored --test-threads=2

RACES := $(CARGO) host test --quiet --profile races -p baton-races

.PHONY: races
races: setup ## the orders in which CPUs can meet in the monitor (long; "make test" has fewer)
	@RACES=all $(RACES) --features loom --test loom -- --nocapture --include-ignored --test-threads=2
	@RACES=all $(RACES) --features shuttle --test shuttle -- --nocapture

.PHONY: races-quick
races-quick: setup
	@$(RACES) --features loom --test loom
	@$(RACES) --features shuttle --test shuttle

.PHONY: fuzz
fuzz: setup ## fuzz what is parsed: FUZZ= one target, else all; SECONDS=600 each
	@tests/fuzz/run.sh build
	@for target in $(or $(FUZZ),$$(tests/fuzz/run.sh list)); do \
		tests/fuzz/run.sh fuzz $$target $(or $(SECONDS),600) || exit 1; done

.PHONY: fuzz-corpus
fuzz-corpus: setup ## write the seeds, and take over what "make fuzz" found beyond the corpus
	@tests/fuzz/run.sh build
	@tests/fuzz/run.sh seeds
	@for target in $$(tests/fuzz/run.sh list); do tests/fuzz/run.sh merge $$target; done

.PHONY: coverage
coverage: setup ## what the tests of the host go through, by file
	@tests/coverage.sh

.PHONY: miri
miri: setup ## the tests of the host under Miri (needs rustup and its nightly toolchain)
	@tests/miri.sh

.PHONY: deny
deny: setup ## licences, sources and versions of the crates; ADVISORIES=1: and what is known of them
	@tests/deny.sh

.PHONY: soak
soak: build linux ## 1000 kexecs in a row, from under CPUs in states chosen by chance (hours; N=30: minutes)
	@$(TOOL) soak

.PHONY: audit
audit: images tool ## what the next kernel finds of the one before it, register by register
	@$(TOOL) audit

.PHONY: lint
lint: setup ## rustfmt, clippy (warnings are errors), and whether imports go one way
	@$(CARGO) host fmt --all -- --check
	@$(CARGO) host fmt --manifest-path tests/fuzz/Cargo.toml -- --check
	@tests/fuzz/run.sh lint
	@$(CARGO) host run --quiet -p baton-imports
	@$(CARGO) host clippy --quiet -p baton -p baton-core -p baton-abi -p baton-sysreg -p probe --lib --tests -- -D warnings
	@$(CARGO) host clippy --quiet --profile races -p baton-races --all-targets --features loom -- -D warnings
	@$(CARGO) host clippy --quiet --profile races -p baton-races --all-targets --features shuttle -- -D warnings
	@$(CARGO) host clippy --quiet -p baton-qemu -p baton-reads -p baton-bench -p baton-tests -p baton-imports -p baton-command --all-targets -- -D warnings
	@$(CARGO) target clippy --quiet --release -p baton -p probe -p firmware -p faults -- -D warnings

# The monitor and the probe as they are on the bare machine, the rest as it is here.
.PHONY: doc
doc: export RUSTDOCFLAGS := -D warnings
doc: setup ## the documentation, for the bare machine and for the host; broken links are errors
	@$(CARGO) target doc --quiet --no-deps --lib -p baton -p baton-core -p baton-abi -p baton-sysreg -p probe
	@$(CARGO) host doc --quiet --no-deps -p baton-sysreg -p baton-qemu -p baton-tests -p baton-command
	@echo '  $(TARGET)/aarch64-unknown-none-softfloat/doc/baton/index.html'
	@echo '  $(TARGET)/doc/baton_qemu/index.html'

.PHONY: clean
clean: ## remove what was built; what was fetched stays in the cache
	@rm -rf $(TARGET)
