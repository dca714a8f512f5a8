// SPDX-License-Identifier: Apache-2.0
//! SHA-256 by the CPU's own instructions, where it has them: 99 for a block of 64 bytes, and 2058 without
//! (counted in the image).

use super::routines;
use baton_core::linux::crash::sha256::{BLOCK, Mix, mix};
use baton_sysreg::read_sysreg;

/// Returns what mixes blocks on this CPU. `vectors`: EL2 may use floating point, and is not in streaming
/// mode, which the teardown step `vectors` has left.
pub fn mix_of_this_cpu(vectors: bool) -> Mix {
    // SAFETY: It is an ID register.
    let isar0 = unsafe { read_sysreg!(ID_AA64ISAR0_EL1) };
    // FEAT_SHA256.
    let has_instructions = isar0 >> 12 & 0xf >= 1;
    match has_instructions && vectors {
        true => mix_by_instructions,
        false => mix,
    }
}

/// A [`Mix`] for a CPU that has the instructions.
fn mix_by_instructions(state: &mut [u32; 8], blocks: &[[u8; BLOCK]]) {
    // SAFETY: `mix_of_this_cpu` returns this function where they are there, and the monitor stays on its
    // CPU. Both are references.
    unsafe {
        routines::sha256_blocks(state.as_mut_ptr(), blocks.as_ptr().cast(), blocks.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use baton_core::linux::crash::sha256::Sha256;
    use baton_sysreg::fake::{self, Event};

    /// Hashes two blocks and a half; returns the SHA-256, and how many blocks went through the instructions.
    fn hash(isar0: u64, vectors: bool) -> ([u8; 32], u64) {
        fake::reset();
        fake::set("ID_AA64ISAR0_EL1", isar0);
        let mut hash = Sha256::new(mix_of_this_cpu(vectors));
        hash.update(&[7; 160]);
        let digest = hash.finish();
        let blocks = fake::events().into_iter().map(|event| match event {
            Event::Execute("sha256h", Some(blocks)) => blocks,
            other => panic!("{other:?}"),
        });
        (digest, blocks.sum())
    }

    #[test]
    fn the_instructions_are_used_where_they_may_be() {
        let (expected, _) = hash(0, false);
        // SHA1, AES and CRC32 alone; SHA256; SHA512 as well.
        for (isar0, vectors, blocks) in [
            (0x0001_0120, true, 0),
            (0x1000, true, 3),
            (0x2000, true, 3),
            (0x1000, false, 0),
        ] {
            let found = hash(isar0, vectors);
            assert_eq!(found, (expected, blocks), "{isar0:#x}, {vectors}");
        }
    }
}
