//! QEMU virt.
