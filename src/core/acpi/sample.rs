// SPDX-License-Identifier: Apache-2.0
//! ACPI tables for tests, in a memory of their own.

use super::Physical;
use super::table::sum;
use alloc::vec::Vec;

/// Where the RSDP of a sample is; the tables follow.
pub const RSDP: u64 = 0xbf00_0000;
/// Bytes from one thing in a sample to the next.
const APART: usize = 0x1_0000;

/// Memory with ACPI tables in it.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// The bytes from [`RSDP`] on.
    pub bytes: Vec<u8>,
}

impl Physical for Sample {
    fn bytes(&self, address: u64, length: usize) -> Option<&[u8]> {
        let start = usize::try_from(address.checked_sub(RSDP)?).ok()?;
        self.bytes.get(start..start.checked_add(length)?)
    }
}

impl Sample {
    /// Puts tables behind an RSDP of ACPI 2.0, and an XSDT that names them.
    pub fn xsdt(tables: &[Vec<u8>]) -> Self {
        let mut sample = Self::default();
        sample.put(1, &root(b"XSDT", tables, 8));
        sample.put(0, &rsdp(2, 0, RSDP + APART as u64));
        sample.put_all(tables);
        sample
    }

    /// Puts tables behind an RSDP of ACPI 1.0, and an RSDT that names them.
    pub fn rsdt(tables: &[Vec<u8>]) -> Self {
        let mut sample = Self::default();
        sample.put(1, &root(b"RSDT", tables, 4));
        sample.put(0, &rsdp(0, RSDP as u32 + APART as u32, 0));
        sample.put_all(tables);
        sample
    }

    /// Returns the address of thing `index`: 0 is the RSDP, 1 the XSDT or RSDT, then the tables.
    pub const fn address(index: usize) -> u64 {
        RSDP + (index * APART) as u64
    }

    /// Puts bytes in the place of thing `index`.
    pub fn put(&mut self, index: usize, bytes: &[u8]) {
        let start = index * APART;
        let end = start + bytes.len();
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        self.bytes.splice(start..end, bytes.iter().copied());
    }

    fn put_all(&mut self, tables: &[Vec<u8>]) {
        for (index, table) in (2..).zip(tables) {
            self.put(index, table);
        }
    }
}

/// Returns an RSDP (5.2.5.3); of revision 0, it has 20 bytes.
pub fn rsdp(revision: u8, rsdt: u32, xsdt: u64) -> Vec<u8> {
    let mut bytes = Vec::from(*b"RSD PTR \0SAMPLE");
    bytes.push(revision);
    bytes.extend(rsdt.to_le_bytes());
    mend(&mut bytes, 8);
    if revision >= 2 {
        bytes.extend(36u32.to_le_bytes());
        bytes.extend(xsdt.to_le_bytes());
        bytes.extend([0; 4]);
        mend(&mut bytes, 32);
    }
    bytes
}

fn root(signature: &[u8; 4], tables: &[Vec<u8>], width: usize) -> Vec<u8> {
    let addresses = (2..tables.len() + 2).map(Sample::address);
    let addresses = addresses.flat_map(|address| address.to_le_bytes().into_iter().take(width));
    table(signature, 1, &addresses.collect::<Vec<_>>())
}

/// Returns a table with a header (5.2.6) in front of `body`.
pub fn table(signature: &[u8; 4], revision: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::from(*signature);
    bytes.extend((36 + body.len() as u32).to_le_bytes());
    bytes.extend([revision, 0]);
    bytes.extend(*b"SAMPLESAMPLE  \x01\0\0\0TEST\x01\0\0\0");
    bytes.extend(body);
    mend(&mut bytes, 9);
    bytes
}

/// Sets the checksum at offset `at`.
pub fn mend(bytes: &mut [u8], at: usize) {
    bytes[at] = 0;
    bytes[at] = sum(bytes).wrapping_neg();
}

/// A CPU of a MADT, as its GICC has it; all that is not said is 0.
#[derive(Clone, Copy, Debug)]
pub struct Cpu {
    /// Bytes of the entry: 76, 80, 82 or more.
    pub length: u8,
    /// Bit 0: enabled. Bit 3: can be brought in. Bit 4: its redistributor is not coherent.
    pub flags: u32,
    /// Its MPIDR.
    pub mpidr: u64,
    /// Address of its redistributor.
    pub redistributor: u64,
    /// Address of its CPU interface.
    pub cpu_interface: u64,
    /// Addresses of its virtual CPU interface, and of its control.
    pub virtual_cpu: [u64; 2],
    /// Where it waits in the parking protocol.
    pub parked: u64,
}

impl Cpu {
    /// Returns a CPU that is enabled, in an entry of 80 bytes.
    pub const fn new(mpidr: u64) -> Self {
        Self {
            length: 80,
            flags: 1,
            mpidr,
            redistributor: 0,
            cpu_interface: 0,
            virtual_cpu: [0; 2],
            parked: 0,
        }
    }
}

/// A MADT that is being made.
#[derive(Clone, Debug)]
pub struct Madt {
    revision: u8,
    body: Vec<u8>,
}

impl Madt {
    /// Returns one without entries.
    pub fn new(revision: u8) -> Self {
        Self {
            revision,
            body: alloc::vec![0; 8],
        }
    }

    /// Adds an entry: its type, and what is behind the length.
    pub fn entry(&mut self, kind: u8, body: &[u8]) -> &mut Self {
        self.body.extend([kind, body.len() as u8 + 2]);
        self.body.extend(body);
        self
    }

    /// Adds a GICC.
    pub fn gicc(&mut self, cpu: &Cpu) -> &mut Self {
        let mut body = alloc::vec![0; usize::from(cpu.length) - 2];
        let mut set = |at: usize, bytes: &[u8]| {
            body[at - 2..][..bytes.len()].copy_from_slice(bytes);
        };
        set(12, &cpu.flags.to_le_bytes());
        set(24, &cpu.parked.to_le_bytes());
        set(32, &cpu.cpu_interface.to_le_bytes());
        set(40, &cpu.virtual_cpu[0].to_le_bytes());
        set(48, &cpu.virtual_cpu[1].to_le_bytes());
        set(60, &cpu.redistributor.to_le_bytes());
        set(68, &cpu.mpidr.to_le_bytes());
        self.entry(0x0b, &body)
    }

    /// Adds a GICD.
    pub fn gicd(&mut self, base: u64, version: u8) -> &mut Self {
        let mut body = alloc::vec![0; 6];
        body.extend(base.to_le_bytes());
        body.extend([0, 0, 0, 0, version, 0, 0, 0]);
        self.entry(0x0c, &body)
    }

    /// Adds a GICR; bit 0 of its flags: not coherent.
    pub fn gicr(&mut self, flags: u8, base: u64, length: u32) -> &mut Self {
        let mut body = alloc::vec![flags, 0];
        body.extend(base.to_le_bytes());
        body.extend(length.to_le_bytes());
        self.entry(0x0e, &body)
    }

    /// Adds an ITS; bit 0 of its flags: not coherent.
    pub fn its(&mut self, flags: u16, base: u64) -> &mut Self {
        let mut body = Vec::from(flags.to_le_bytes());
        body.extend([0; 4]);
        body.extend(base.to_le_bytes());
        body.extend([0; 4]);
        self.entry(0x0f, &body)
    }

    /// Returns the table.
    pub fn table(&self) -> Vec<u8> {
        table(b"APIC", self.revision, &self.body)
    }
}

/// Returns a FADT of 276 bytes and its ARM_BOOT_ARCH.
pub fn fadt(major: u8, minor: u8, boot_arch: u16) -> Vec<u8> {
    let mut body = [0; 240];
    body[129 - 36..][..2].copy_from_slice(&boot_arch.to_le_bytes());
    body[131 - 36] = minor;
    table(b"FACP", major, &body)
}

/// A Generic Address Structure (5.2.3.2).
#[derive(Clone, Copy, Debug)]
pub struct Address {
    /// 0 is memory, 1 is ports.
    pub space: u8,
    /// Bits of a register.
    pub bit_width: u8,
    /// Of an access: 0 not said, 1 byte, 2 half, 3 word, 4 double.
    pub access_size: u8,
    /// The address.
    pub address: u64,
}

impl Address {
    /// Returns the address of registers of 32 bits in memory.
    pub const fn words(address: u64) -> Self {
        Self {
            space: 0,
            bit_width: 32,
            access_size: 3,
            address,
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = alloc::vec![self.space, self.bit_width, 0, self.access_size];
        bytes.extend(self.address.to_le_bytes());
        bytes
    }
}

/// Returns an SPCR of revision 2.
pub fn spcr(kind: u8, base: &Address) -> Vec<u8> {
    let mut body = alloc::vec![kind, 0, 0, 0];
    body.extend(base.bytes());
    body.resize(80 - 36, 0);
    table(b"SPCR", 2, &body)
}

/// Returns an SRAT of memory: address, bytes and flags each.
pub fn srat(memory: &[(u64, u64, u32)]) -> Vec<u8> {
    let mut body = Vec::from([1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    for (base, length, flags) in memory {
        body.extend([1, 40, 0, 0, 0, 0, 0, 0]);
        body.extend(base.to_le_bytes());
        body.extend(length.to_le_bytes());
        body.extend([0; 4]);
        body.extend(flags.to_le_bytes());
        body.extend([0; 8]);
    }
    table(b"SRAT", 3, &body)
}

/// Returns a DBG2 of devices: type, subtype and address each.
pub fn dbg2(devices: &[(u16, u16, Address)]) -> Vec<u8> {
    let mut body = Vec::from(44u32.to_le_bytes());
    body.extend((devices.len() as u32).to_le_bytes());
    for (kind, subtype, base) in devices {
        // Registers, their size, and a name of two bytes.
        body.extend([0, 40, 0, 1, 2, 0, 38, 0, 0, 0, 0, 0]);
        body.extend(kind.to_le_bytes());
        body.extend(subtype.to_le_bytes());
        body.extend([0, 0, 22, 0, 34, 0]);
        body.extend(base.bytes());
        body.extend(0x1000u32.to_le_bytes());
        body.extend(*b".\0");
    }
    table(b"DBG2", 0, &body)
}
