// SPDX-License-Identifier: Apache-2.0
//! Links the probe by its own linker script.

fn main() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../linker/payload.ld");
    println!("cargo::rerun-if-changed={script}");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("none") {
        println!("cargo::rustc-link-arg-bins=-T{script}");
    }
}
