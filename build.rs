// SPDX-License-Identifier: Apache-2.0
//! Hands the linker script to the monitor's binary, and to nothing else.

fn main() {
    let root = std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR");
    println!("cargo::rerun-if-changed=linker/baton.ld");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("none") {
        println!("cargo::rustc-link-arg-bin=baton=-T{root}/linker/baton.ld");
    }
}
