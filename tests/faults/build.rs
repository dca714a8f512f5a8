// SPDX-License-Identifier: Apache-2.0
//! Links the application as the monitor is linked, whose header it has.

fn main() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../linker/baton.ld");
    println!("cargo::rerun-if-changed={script}");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("none") {
        println!("cargo::rustc-link-arg-bins=-T{script}");
    }
}
