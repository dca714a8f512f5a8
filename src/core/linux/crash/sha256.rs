// SPDX-License-Identifier: Apache-2.0
//! SHA-256 (FIPS 180-4, 6.2) of memory in pieces. What mixes a block is the caller's: the CPU's own
//! instructions, or [`mix`] for a CPU without them.

/// Bytes of a block.
pub const BLOCK: usize = 64;
/// Where the length of the message is in its last block.
const LENGTH: usize = BLOCK - 8;
/// FIPS 180-4, 5.3.3.
const INITIAL: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// Mixes blocks into a state, one after another.
pub type Mix = fn(&mut [u32; 8], &[[u8; BLOCK]]);

/// Mixes blocks with general registers: of a [`Mix`], the one that each CPU can.
pub fn mix(state: &mut [u32; 8], blocks: &[[u8; BLOCK]]) {
    sha2::block_api::compress256(state, blocks);
}

/// A SHA-256 on the way.
pub struct Sha256 {
    mix: Mix,
    state: [u32; 8],
    /// What is no whole block yet.
    rest: [u8; BLOCK],
    /// Bytes so far.
    length: u64,
}

impl Sha256 {
    /// Returns the SHA-256 of nothing, which goes on with `mix`.
    pub const fn new(mix: Mix) -> Self {
        Self {
            mix,
            state: INITIAL,
            rest: [0; BLOCK],
            length: 0,
        }
    }

    /// Goes on with `bytes`.
    pub fn update(&mut self, mut bytes: &[u8]) {
        let used = self.used();
        self.length = self.length.wrapping_add(bytes.len() as u64);
        if used > 0 {
            let room = self.rest.get_mut(used..).unwrap_or_default();
            let (now, later) = bytes.split_at(room.len().min(bytes.len()));
            for (place, byte) in room.iter_mut().zip(now) {
                *place = *byte;
            }
            if used + now.len() < BLOCK {
                return;
            }
            (self.mix)(&mut self.state, &[self.rest]);
            bytes = later;
        }
        let (blocks, rest) = bytes.as_chunks();
        (self.mix)(&mut self.state, blocks);
        for (place, byte) in self.rest.iter_mut().zip(rest) {
            *place = *byte;
        }
    }

    /// Returns the SHA-256 of all that came.
    pub fn finish(mut self) -> [u8; 32] {
        let bits = self.length.wrapping_mul(8);
        let used = self.used();
        for (place, byte) in self.rest.iter_mut().zip(0..) {
            match usize::cmp(&byte, &used) {
                core::cmp::Ordering::Less => {}
                core::cmp::Ordering::Equal => *place = 0x80,
                core::cmp::Ordering::Greater => *place = 0,
            }
        }
        if used >= LENGTH {
            (self.mix)(&mut self.state, &[self.rest]);
            self.rest = [0; BLOCK];
        }
        let length = self.rest.get_mut(LENGTH..).unwrap_or_default();
        for (place, byte) in length.iter_mut().zip(bits.to_be_bytes()) {
            *place = byte;
        }
        (self.mix)(&mut self.state, &[self.rest]);
        let mut digest = [0; 32];
        for (bytes, word) in digest.as_chunks_mut().0.iter_mut().zip(self.state) {
            *bytes = word.to_be_bytes();
        }
        digest
    }

    /// Returns how many bytes are in `rest`.
    const fn used(&self) -> usize {
        (self.length % BLOCK as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::Digest;

    fn hex(digest: [u8; 32]) -> String {
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Hashes `bytes` in pieces of `size`.
    fn in_pieces(bytes: &[u8], size: usize) -> [u8; 32] {
        let mut hash = Sha256::new(mix);
        bytes.chunks(size).for_each(|piece| hash.update(piece));
        hash.finish()
    }

    #[test]
    fn has_the_values_of_the_standard() {
        // FIPS 180-2, appendix B; and of nothing.
        let million = vec![b'a'; 1_000_000];
        let two_blocks = b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
        let cases: [(&[u8], &str); 4] = [
            (
                b"",
                "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            ),
            (
                b"abc",
                "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            ),
            (
                two_blocks,
                "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
            ),
            (
                &million,
                "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0",
            ),
        ];
        for (bytes, expected) in cases {
            assert_eq!(
                hex(in_pieces(bytes, 4096)),
                expected,
                "{} bytes",
                bytes.len()
            );
        }
    }

    #[test]
    fn pieces_may_be_of_any_size() {
        let bytes: Vec<u8> = (0..300u32).map(|n| ((n * n) >> 3) as u8).collect();
        for length in 0..bytes.len() {
            let bytes = &bytes[..length];
            let expected: [u8; 32] = sha2::Sha256::digest(bytes).into();
            for size in [1, 3, 8, 55, 56, 63, 64, 65, 128, 300] {
                let found = in_pieces(bytes, size);
                assert_eq!(hex(found), hex(expected), "{length} bytes, {size} at once");
            }
        }
    }
}
