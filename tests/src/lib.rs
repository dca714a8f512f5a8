//! Tests that boot Baton in QEMU.
