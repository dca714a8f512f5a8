// SPDX-License-Identifier: Apache-2.0
//! What the monitor cannot start with: one clear line, then the machine is off.

use baton_qemu::{Module, layout, paths};
use baton_tests::{Blob, Boot, Scratch, boot_by_hand, boot_modules, machine, tree};
use dtoolkit::model::{DeviceTree, DeviceTreeNode, DeviceTreeProperty};
use dtoolkit::{Node, Property};

const SECONDS: u64 = 60;
const KERNEL: u64 = layout::KERNEL;

/// An arm64 Image header (`Documentation/arch/arm64/booting.rst`) before 4 KiB of nothing.
fn image(text_offset: u64, image_size: u64) -> Vec<u8> {
    let mut bytes = vec![0; 4096];
    bytes[0..4].copy_from_slice(&0x1400_0000_u32.to_le_bytes()); // b .
    bytes[8..16].copy_from_slice(&text_offset.to_le_bytes());
    bytes[16..24].copy_from_slice(&image_size.to_le_bytes());
    bytes[24..32].copy_from_slice(&0xa_u64.to_le_bytes()); // little-endian, 4 KiB pages, anywhere
    bytes[56..60].copy_from_slice(b"ARM\x64");
    bytes
}

/// A `/chosen` module node.
fn module(kind: &str, at: u64, size: u64) -> DeviceTreeNode {
    let mut node = DeviceTreeNode::new(format!("module@{at:x}")).unwrap();
    let compatible = format!("multiboot,{kind}\0multiboot,module\0");
    node.add_property(property("compatible", compatible.as_bytes()));
    node.add_property(property("reg", &reg(at, size)));
    node
}

fn property(name: &str, value: &[u8]) -> DeviceTreeProperty {
    DeviceTreeProperty::new(name, value.to_vec()).unwrap()
}

/// An address and a size, of two cells each.
fn reg(at: u64, size: u64) -> Vec<u8> {
    [at.to_be_bytes(), size.to_be_bytes()].concat()
}

/// The machine's tree with one good kernel module, changed by `change`; the monitor must give up with
/// an error that has `words` in it.
#[track_caller]
fn give_up(name: &str, words: &[&str], change: impl FnOnce(&mut DeviceTree)) {
    let boot = start(name, |tree| {
        change(tree);
        tree.to_dtb()
    });
    boot.expect_error(words);
    boot.expect_end();
}

#[track_caller]
fn start(name: &str, change: impl FnOnce(&mut DeviceTree) -> Vec<u8>) -> Boot {
    let scratch = Scratch::new(name);
    let machine = machine(2);
    let mut tree = tree(&machine, &[], &scratch);
    tree.find_node_mut("/chosen")
        .unwrap()
        .add_child(module("kernel", KERNEL, 4096));
    let bytes = change(&mut tree);
    let kernel = Blob {
        at: KERNEL,
        bytes: image(0, 0x10000),
    };
    boot_by_hand(&machine, &bytes, &[kernel], SECONDS, &scratch)
}

/// Adds a module to `/chosen`.
fn add(tree: &mut DeviceTree, node: DeviceTreeNode) {
    tree.find_node_mut("/chosen").unwrap().add_child(node);
}

/// Removes the children of the root whose name, or whose `compatible`, has `text` in it.
fn remove(tree: &mut DeviceTree, text: &str) {
    let names: Vec<String> = tree
        .root
        .children()
        .filter(|node| {
            let compatible = node.property("compatible");
            let compatible = compatible.map(|p| String::from_utf8_lossy(p.value()).into_owned());
            node.name().contains(text) || compatible.is_some_and(|value| value.contains(text))
        })
        .map(|node| node.name().to_owned())
        .collect();
    assert!(!names.is_empty(), "expected QEMU's tree to have {text}");
    for name in names {
        tree.root.remove_child(&name);
    }
}

#[test]
fn no_guest_module() {
    let boot = boot_modules(&machine(2), &[], SECONDS);
    boot.expect_error(&["multiboot,kernel", "fdt resize"]);
    boot.expect_end();
}

#[test]
fn started_at_el1() {
    let scratch = Scratch::new("el1");
    let mut machine = machine(2);
    machine.el2 = false;
    let file = scratch.write("kernel", &image(0, 0x10000));
    let kernel = Module::Kernel {
        at: KERNEL,
        file,
        bootargs: String::new(),
    };
    let boot = boot_modules(&machine, &[kernel], SECONDS);
    boot.expect_error(&["EL1"]);
    boot.expect_end();
}

#[test]
fn image_larger_than_memory() {
    let scratch = Scratch::new("large");
    let file = scratch.write("kernel", &image(0, 0x100_0000_0000));
    let kernel = Module::Kernel {
        at: KERNEL,
        file,
        bootargs: String::new(),
    };
    let boot = boot_modules(&machine(2), &[kernel], SECONDS);
    boot.expect_error(&["0x10044000000", "outside the guest's memory"]);
    boot.expect_end();
}

#[test]
fn image_smaller_than_its_file() {
    let scratch = Scratch::new("small");
    let file = scratch.write("kernel", &image(0, 0x200));
    let kernel = Module::Kernel {
        at: KERNEL,
        file,
        bootargs: String::new(),
    };
    let boot = boot_modules(&machine(2), &[kernel], SECONDS);
    boot.expect_error(&["0x200"]);
    boot.expect_end();
}

/// An Image runs on a multiple of 2 MiB only.
#[test]
fn image_where_it_cannot_run() {
    let kernel = Module::Kernel {
        at: KERNEL + 0x1_0000,
        file: paths::probe(),
        bootargs: "test=kexec generations=1".into(),
    };
    let boot = boot_modules(&machine(2), &[kernel], SECONDS);
    boot.expect("baton: warning: kernel at 0x44010000 moved to 0x40000000");
    boot.expect("baton: kernel at 0x40000000-");
    boot.expect("probe: PASS");
    boot.expect_end();
}

#[track_caller]
fn packed(format: &str, magic: &[u8]) {
    let scratch = Scratch::new(format);
    let mut bytes = vec![0; 4096];
    bytes[..magic.len()].copy_from_slice(magic);
    let kernel = Module::Kernel {
        at: KERNEL,
        file: scratch.write("kernel", &bytes),
        bootargs: String::new(),
    };
    let boot = boot_modules(&machine(2), &[kernel], SECONDS);
    boot.expect_error(&["0x44000000", "packed", format, "raw arm64 Image"]);
    boot.expect_end();
}

#[test]
fn kernel_packed_by_gzip() {
    packed("gzip", b"\x1f\x8b\x08");
}

#[test]
fn kernel_packed_by_zstd() {
    packed("zstd", b"\x28\xb5\x2f\xfd");
}

#[test]
fn kernel_packed_in_an_efi_application() {
    packed("EFI zboot", b"MZ\0\0zimg");
}

/// What `fdt mknod` and `fdt set` of U-Boot leave behind in a tree without room.
#[test]
fn module_without_reg() {
    give_up("reg", &["reg of 0 bytes", "fdt resize"], |tree| {
        let mut node = module("ramdisk", 0x4a00_0000, 0x1000);
        node.remove_property("reg");
        add(tree, node);
    });
}

#[test]
fn module_over_the_monitor() {
    give_up("monitor", &["ramdisk", "monitor", "overlap"], |tree| {
        add(tree, module("ramdisk", 0x4020_8000, 0x1000))
    });
}

#[test]
fn module_over_the_tree() {
    give_up(
        "over-tree",
        &["ramdisk", "device tree", "overlap"],
        |tree| add(tree, module("ramdisk", 0x4800_0800, 0x1000)),
    );
}

#[test]
fn module_outside_memory() {
    give_up("outside", &["0x1f0000000"], |tree| {
        add(tree, module("ramdisk", 0x1_f000_0000, 0x1000))
    });
}

#[test]
fn module_across_the_end_of_memory() {
    give_up("across", &["0xbffff000"], |tree| {
        add(tree, module("ramdisk", 0xbfff_f000, 0x2000))
    });
}

#[test]
fn module_around_the_end_of_addresses() {
    let at = 0xffff_ffff_ffff_f000;
    give_up("around", &["0xfffffffffffff000"], |tree| {
        add(tree, module("ramdisk", at, 0x2000))
    });
}

#[test]
fn overlapping_modules() {
    give_up("overlap", &["0x44000800"], |tree| {
        add(tree, module("ramdisk", KERNEL + 0x800, 0x1000))
    });
}

#[test]
fn tree_without_memory() {
    give_up("memory", &["memory"], |tree| remove(tree, "memory@"));
}

#[test]
fn tree_without_gic() {
    give_up("gic", &["gic"], |tree| remove(tree, "arm,gic"));
}

/// U-Boot completes the trees of such boards; one that it did not complete lost its PSCI on the way.
#[test]
fn tree_without_psci_that_u_boot_completes() {
    let boot = start("psci", |tree| {
        remove(tree, "psci");
        tree.root.remove_property("compatible");
        let compatible = property("compatible", b"fsl,ls1046a-rdb\0fsl,ls1046a\0");
        tree.root.add_property(compatible);
        tree.to_dtb()
    });
    // Nothing tells how to switch the machine off.
    boot.expect_error(&["psci", "fsl,ls1046a", "U-Boot"]);
}

#[test]
fn tree_that_does_not_parse() {
    // A structure block that is nonsense from its middle on.
    let boot = start("parse", |tree| {
        let mut bytes = tree.to_dtb();
        let start = u32::from_be_bytes(bytes[8..12].try_into().unwrap()) as usize;
        let size = u32::from_be_bytes(bytes[36..40].try_into().unwrap()) as usize;
        bytes[start + size / 2..start + size].fill(0xff);
        bytes
    });
    boot.expect_error(&["device tree"]);
    boot.expect_end();
}
