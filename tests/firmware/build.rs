// SPDX-License-Identifier: Apache-2.0
//! Links the firmware by its own linker script, at fixed addresses: it runs where it lies in flash.

fn main() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../linker/firmware.ld");
    println!("cargo::rerun-if-changed={script}");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("none") {
        println!("cargo::rustc-link-arg-bins=-T{script}");
        println!("cargo::rustc-link-arg-bins=--no-pie");
    }
}
