//! What the monitor knows of an arm64 Linux kernel.
